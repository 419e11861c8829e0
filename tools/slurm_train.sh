#!/usr/bin/env bash
# Train on a Slurm cluster:
#   [GPUS=8] [GPUS_PER_NODE=8] [CPUS_PER_TASK=5] [SRUN_ARGS=...] tools/slurm_train.sh PARTITION JOB_NAME CONFIG [options of train.py]
set -euo pipefail
usage='usage: slurm_train.sh PARTITION JOB_NAME CONFIG [options of train.py]'
partition=${1:?$usage}; job=${2:?$usage}; config=${3:?$usage}
gpus=${GPUS:-8}; per_node=${GPUS_PER_NODE:-$((gpus < 8 ? gpus : 8))}
here=$(cd "$(dirname "$0")" && pwd)
export PYTHONPATH="$here/..${PYTHONPATH:+:$PYTHONPATH}"
read -ra extra <<<"${SRUN_ARGS:-}"

exec srun -p "$partition" --job-name="$job" --gres="gpu:$per_node" --ntasks="$gpus" \
  --ntasks-per-node="$per_node" --cpus-per-task="${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 \
  ${extra[@]+"${extra[@]}"} "${PYTHON:-python}" -u "$here/train.py" "$config" --launcher slurm "${@:4}"
