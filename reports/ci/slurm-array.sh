#!/usr/bin/env bash
# Over the GPUs of a Slurm cluster: bash reports/ci/slurm-array.sh, on a login node. It submits an array, one task a shard, and
# a job that merges when the array has ended, however it ended: shards that are lost or failed are missing from the merged
# report, which says so and is red. A preempted task is started again and writes its report anew.
#   SUITE, SUBJECT, SHARDS, SEED; PARTS, REPORT: folders that all nodes see; GRES, PARTITION: what a shard asks Slurm for
set -euo pipefail
suite=${SUITE:-full}
subject=${SUBJECT:-cuda}
shards=${SHARDS:-16}
parts=${PARTS:-$PWD/plumbline-parts}
report=${REPORT:-$PWD/plumbline-report}
plumbline=${PLUMBLINE:-build/release/plumbline}
gres=${GRES-gpu:1}

case ${1:-submit} in
  submit)
    options=(--parsable --export=ALL --chdir="$PWD")
    if [[ -n ${PARTITION:-} ]]; then options+=(--partition="$PARTITION"); fi
    array=$(sbatch "${options[@]}" --job-name=plumbline --array="0-$((shards - 1))" --requeue ${gres:+--gres="$gres"} \
      --time="${TIME:-01:00:00}" "$0" shard)
    array=${array%%;*}  # a cluster's name may follow
    merge=$(RUN=$array sbatch "${options[@]}" --job-name=plumbline-merge --dependency="afterany:$array" --time=00:30:00 \
      "$0" merge)
    echo "array $array, merge ${merge%%;*}: $report"
    ;;
  shard)
    # The shard comes from SLURM_ARRAY_TASK_ID, _COUNT and _MIN. A red shard (1) is no failed task: the merged report says so.
    folder=$parts/$SLURM_ARRAY_JOB_ID/$SLURM_ARRAY_TASK_ID
    rm -rf "$folder"  # of a task that was started before
    mkdir -p "${folder%/*}"
    status=0
    "$plumbline" verify --suite "$suite" --subject "$subject" --seed "${SEED:-1}" --report "$folder" || status=$?
    ((status <= 1)) || exit "$status"
    ;;
  merge)
    shopt -s nullglob
    reports=("$parts/$RUN"/*/report.json)
    if ((${#reports[@]} == 0)); then
      echo "no shard of array $RUN left a report in $parts/$RUN" >&2
      exit 2
    fi
    exec "$plumbline" merge "${reports[@]}" --report "$report"
    ;;
  *)
    echo "expected submit, shard or merge" >&2
    exit 2
    ;;
esac
