#!/usr/bin/env bash
# Test on several GPUs, or on several CPU processes where there is no GPU:
#   tools/dist_test.sh CONFIG CHECKPOINT GPUS [options of tools/test.py]
# On several nodes run it on each with NNODES, NODE_RANK, MASTER_ADDR and PORT set; GPUS counts one node's.
set -euo pipefail
config=${1:?usage: dist_test.sh CONFIG CHECKPOINT GPUS [options of test.py]}
checkpoint=${2:?usage: dist_test.sh CONFIG CHECKPOINT GPUS [options of test.py]}
gpus=${3:?usage: dist_test.sh CONFIG CHECKPOINT GPUS [options of test.py]}
here=$(cd "$(dirname "$0")" && pwd)
export PYTHONPATH="$here/..${PYTHONPATH:+:$PYTHONPATH}"

exec "${PYTHON:-python}" -m torch.distributed.run \
  --nnodes="${NNODES:-1}" --node_rank="${NODE_RANK:-0}" --nproc_per_node="$gpus" \
  --master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="${PORT:-29500}" \
  "$here/test.py" "$config" "$checkpoint" --launcher pytorch "${@:4}"
