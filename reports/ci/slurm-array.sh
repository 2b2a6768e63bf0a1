#!/usr/bin/env bash
# An array job over GPUs: sbatch reports/ci/slurm-array.sh. Every task is a shard; the first submits the job that merges.
#SBATCH --job-name=plumbline
#SBATCH --array=0-15
#SBATCH --gres=gpu:1
#SBATCH --cpus-per-task=8
#SBATCH --time=01:00:00
set -euo pipefail
suite=${SUITE:-full}
subject=${SUBJECT:-cuda}
parts=${PARTS:-plumbline-parts}
plumbline=${PLUMBLINE:-build/release/plumbline}

if [[ ${1:-} == merge ]]; then
  exec "$plumbline" merge "$parts"/* --report "${REPORT:-plumbline-report}"
fi
# The shard comes from SLURM_ARRAY_TASK_ID, _COUNT and _MIN. A red shard is no failed job: the merged report says so.
status=0
"$plumbline" verify --suite "$suite" --subject "$subject" --report "$parts/$SLURM_ARRAY_TASK_ID" || status=$?
((status <= 1)) || exit "$status"
# The merge waits for all of the array.
if [[ $SLURM_ARRAY_TASK_ID == "${SLURM_ARRAY_TASK_MIN:-0}" ]] && command -v sbatch >/dev/null; then
  sbatch --dependency="afterok:$SLURM_ARRAY_JOB_ID" --array=0 --gres= --job-name=plumbline-merge "$0" merge
fi
