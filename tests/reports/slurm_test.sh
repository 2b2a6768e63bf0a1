#!/usr/bin/env bash
# reports/ci/slurm-array.sh on a real Slurm of one node, started here: slurm_test.sh SCRIPT PLUMBLINE. Needs root, and
# slurmctld, slurmd and munged of the distribution (22.05 and later); exits with 77 and a reason without them.
set -euo pipefail
script=$(realpath "$1")
program=$(realpath "$2")
for tool in slurmctld slurmd munged sbatch; do
  command -v "$tool" >/dev/null || { echo "skipped: no $tool here"; exit 77; }
done
((EUID == 0)) || { echo "skipped: Slurm's daemons need root"; exit 77; }
pgrep -x slurmctld >/dev/null && { echo "skipped: a Slurm runs here already"; exit 77; }

folder=$(mktemp -d /tmp/plumbline-slurm-XXXXXX)
chmod 755 "$folder"
stop() {
  pkill -x slurmctld || true
  pkill -x slurmd || true
  if [[ -n ${munge_pid:-} ]]; then kill "$munge_pid" 2>/dev/null || true; fi
  for _ in $(seq 50); do
    pgrep -x slurmctld >/dev/null || pgrep -x slurmd >/dev/null || break
    sleep 0.2
  done
  rm -rf "$folder"
}
trap stop EXIT
mkdir -p "$folder"/{state,spool,munge}
head -c 1024 /dev/urandom >"$folder/munge/key"
chmod 400 "$folder/munge/key"
chmod 700 "$folder/munge"
munged --foreground --force --num-threads 1 --key-file "$folder/munge/key" --socket "$folder/munge.socket" \
  --log-file "$folder/munge/log" --pid-file "$folder/munge/pid" --seed-file "$folder/munge/seed" &
munge_pid=$!
host=$(hostname -s)
cat >"$folder/slurm.conf" <<CONF
ClusterName=plumbline
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket
CryptoType=crypto/munge
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
ReturnToService=2
MpiDefault=none
SwitchType=switch/none
SchedulerParameters=sched_interval=1
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
PartitionName=all Nodes=$host Default=YES MaxTime=INFINITE State=UP OverSubscribe=YES
CONF
export SLURM_CONF=$folder/slurm.conf
slurmctld
slurmd
for _ in $(seq 60); do
  [[ $(sinfo -h -o %t 2>/dev/null) == idle ]] && break
  sleep 0.5
done
[[ $(sinfo -h -o %t) == idle ]] || { echo "the node did not come up"; tail -5 "$folder"/slurm*.log; exit 1; }

# submit NAME SHARDS PROGRAM: waits for the end; the merged report lies in $folder/NAME.
submit() {
  (cd "$folder" && SUITE=quick SUBJECT=host SHARDS=$2 GRES='' PARTS=$folder/parts-$1 REPORT=$folder/$1 PLUMBLINE=$3 bash "$script")
  for _ in $(seq 600); do  # a requeued task waits for two minutes before it may begin
    [[ -z $(squeue -h) ]] && return
    sleep 0.5
  done
  squeue
  cat "$folder"/slurm-*.out | tail -n 40
  exit 1
}
expect() {
  grep -q "$2" "$folder/$1/report.json" || { echo "$1: expected '$2'"; cat "$folder"/slurm-*.out; exit 1; }
}

submit whole 2 "$program"
expect whole '"green": \?true'

# A shard that crashes, or whose node goes: nothing is left of it.
cat >"$folder/crashing" <<CRASH
#!/usr/bin/env bash
if [[ \$1 == verify && \$SLURM_ARRAY_TASK_ID == 1 ]]; then kill -9 \$\$; fi
exec "$program" "\$@"
CRASH
chmod +x "$folder/crashing"
submit lost 3 "$folder/crashing"
expect lost '1 of 3 shards is missing: 1'

# Preempted in the middle and started again: its report is written anew.
cat >"$folder/preempted" <<RETRY
#!/usr/bin/env bash
if [[ \$1 == verify && \$SLURM_ARRAY_TASK_ID == 0 && ! -e $folder/once ]]; then
  touch $folder/once
  mkdir -p "\${@: -1}" && echo half >"\${@: -1}/report.json"
  scontrol requeue "\${SLURM_ARRAY_JOB_ID}_0"
  sleep 60
fi
exec "$program" "\$@"
RETRY
chmod +x "$folder/preempted"
submit retried 2 "$folder/preempted"
expect retried '"green": \?true'
echo "Slurm $(sbatch --version | cut -d' ' -f2): a whole run, one with a lost shard, one with a task started again"
