#!/usr/bin/env bash
# Train on several GPUs, or on several CPU processes where there is no GPU:
#   tools/dist_train.sh CONFIG GPUS [options of tools/train.py]
# On several nodes run it on each with NNODES, NODE_RANK, MASTER_ADDR and PORT set; GPUS counts one node's.
set -euo pipefail
config=${1:?usage: dist_train.sh CONFIG GPUS [options of train.py]}
gpus=${2:?usage: dist_train.sh CONFIG GPUS [options of train.py]}
here=$(cd "$(dirname "$0")" && pwd)
export PYTHONPATH="$here/..${PYTHONPATH:+:$PYTHONPATH}"

exec "${PYTHON:-python}" -m torch.distributed.run \
  --nnodes="${NNODES:-1}" --node_rank="${NODE_RANK:-0}" --nproc_per_node="$gpus" \
  --master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="${PORT:-29500}" \
  "$here/train.py" "$config" --launcher pytorch "${@:3}"
