# shellcheck shell=bash
# Sourced by the scripts beside it, for what they share: what a job ran on, the warning before its end, and going on after it.
# They have set setup, launch and llminit in their first lines.
# shellcheck disable=SC2154 # these

readonly STOPPED=75  # exit status: stopped with a checkpoint, run it again
readonly NOT_STARTED=1 # exit status in place of a launcher's 0, when nothing ran
readonly settle=5    # seconds that a program has to catch signals, before it is sent one
own_errors=(2 3 4 5 6 70) # exit status of an error that would come again; any other is of a rank, a node, or the launcher

# A task of an array by both its numbers: the plain number of the last one means the whole array.
job=${SLURM_JOB_ID:-none}
[[ -z ${SLURM_ARRAY_JOB_ID-} ]] || job=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID
readonly job

program=$llminit/build/llminit
[[ ! -e $llminit/bin ]] || program=$llminit/bin/llminit # an installed tree
readonly program

say() {
    printf 'job %s: %s\n' "$job" "$*"
}

# usage FILE STATUS: the comment at the head of a script
usage() {
    sed -n '/^# usage:/,/^[^#]/s/^# \{0,1\}//p' "$1"
    exit "$2"
}

# prepare_job: what the ranks need, and what they run on
prepare_job() {
    setup || {
        say "error: setup failed with $?"
        exit 2
    }
    if [[ ! -x $program ]]; then
        say "error: $program is not there: build it, and say in the script's first lines where it is"
        exit 2
    fi
    export OMP_NUM_THREADS=${SLURM_CPUS_PER_TASK:-1} OPENBLAS_NUM_THREADS=1
    export SRUN_CPUS_PER_TASK=$OMP_NUM_THREADS # srun does not take it from sbatch since Slurm 22.05
    say "$(date '+%F %T'), run $((${SLURM_RESTART_COUNT:-0} + 1)) on ${SLURM_JOB_NUM_NODES:-1} nodes" \
        "(${SLURM_JOB_NODELIST:-$HOSTNAME}), ${SLURM_NTASKS:-1} tasks (${SLURM_TASKS_PER_NODE:-1} a node) of" \
        "$OMP_NUM_THREADS threads, by ${launch[*]}"
    say "$(OMPI_MCA_ess_singleton_isolated=1 "$program" --version), $program"
}

child='' started=0 interrupted=0 told_to_end=0
# Slurm's warning, to the batch shell alone: it is passed on. A program that is just starting would be killed by it.
pass_warning_on() {
    interrupted=1
    if [[ -z $child ]]; then
        return
    elif ((SECONDS - started >= settle)); then
        kill -USR1 "$child" 2>/dev/null || true
    else
        { sleep "$settle" && kill -USR1 $$; } &
    fi
}
trap pass_warning_on USR1
# scancel, the time limit: Slurm has told the ranks as well.
trap 'interrupted=1 told_to_end=1' TERM

# run COMMAND...: its exit status
run() {
    local status=127 found
    started=$SECONDS
    "$@" &
    child=$!
    while :; do
        interrupted=0 found=0
        wait "$child" || found=$?
        ((found == 127)) || status=$found # 127: it had ended already
        ((interrupted)) || break
    done
    child=''
    return "$status"
}

# checkpoints FOLDER: changes when one is written in it
checkpoints() {
    find "$1" -name latest.h5 -printf '%p %T@ %i\n' 2>/dev/null | sort
}

# ends FOLDER: how often a training in it has come to its end
ends() {
    grep '"event":"end"' "$1/log.jsonl" 2>/dev/null | grep -cvE '"why":"(signal|time limit)"' || true
}

requeue() {
    say "$1: requeued"
    scontrol requeue "$job" || say "could not be requeued: submit it again to go on"
    exit "$STOPPED"
}

# run_to_the_end FOLDER COMMAND...: run it; if it is stopped before its end, go on in this job's next run. Ends the job, unless
# all is done. What fails before it gets further is tried once more: on a node that was lost and is back, a job's first step may
# stumble over what PMIx left of the same step before. srun may say 0 of that, so the program's log must say that it has ended
# (our tools see to that themselves).
run_to_the_end() {
    local folder=$1 before ended status attempt
    before=$(checkpoints "$folder")
    ended=$(ends "$folder")
    for attempt in first last; do
        status=0
        run "${@:2}" || status=$?
        if ((status == 0)); then
            [[ $2 != "$llminit/tools/"* && $(ends "$folder") == "$ended" ]] || return 0
            status=$NOT_STARTED
        fi
        if ((told_to_end)); then
            say "told to end: exit status $status"
        elif ((status == STOPPED)); then
            requeue "stopped with a checkpoint"
        elif [[ " ${own_errors[*]} " == *" $status "* ]]; then
            say "failed with $status"
        elif [[ $(checkpoints "$folder") != "$before" ]]; then
            requeue "ended with $status, but got further than before"
        elif [[ $attempt == first ]]; then
            say "ended with $status, no further than before: tried once more"
            continue
        else
            say "ended with $status, no further than before: not requeued"
        fi
        exit "$status"
    done
}

# has_option NAME ARGUMENT...: is --NAME among them?
has_option() {
    local argument
    for argument in "${@:2}"; do
        [[ $argument != "--$1" && $argument != "--$1="* ]] || return 0
    done
    return 1
}

# option NAME ARGUMENT...: the value of --NAME among them
option() {
    local name=$1
    shift
    while (($# > 0)); do
        case $1 in
        "--$name") printf '%s\n' "${2-}" && return ;;
        "--$name="*) printf '%s\n' "${1#*=}" && return ;;
        esac
        shift
    done
}

# time_left: of the job, as llminit train --time-limit takes it; nothing if it has no limit
time_left() {
    local left
    left=$(squeue -h -j "$job" -o %L 2>/dev/null) || return 0
    [[ ! $left =~ ^[0-9]+(-[0-9]+)?(:[0-9]+)+$ ]] || printf '%s\n' "$left"
}
