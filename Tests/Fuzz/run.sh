#!/usr/bin/env bash
# run.sh FOLDER TARGET RUNS: so many inputs for one target, in portions of four minutes. Prints seeds and speed; what is found
# lies in FOLDER/found/TARGET, and `FUZZ_TARGET=TARGET FOLDER/release/fuzz FILE` takes it again.
set -euo pipefail
folder=$1 target=$2 left=$3
here=$(dirname "$0")
case $target in
  recovery | handoff) longest=512 ;;  # a programme of some sixty steps
  *) longest=4096 ;;
esac
# The clock also counts while the machine does something else, so the time limit is generous.
options=(-detect_leaks=0 -timeout=60 -rss_limit_mb=2048 -max_len=$longest -max_total_time=240 -print_final_stats=1 "-artifact_prefix=$folder/found/$target/")
if [ -f "$here/Dictionaries/$target.dict" ]; then options+=("-dict=$here/Dictionaries/$target.dict"); fi
export FUZZ_TARGET=$target

all=$left seconds=0
while [ "$left" -gt 0 ]; do
  begin=$(date +%s%N)
  log=$folder/found/$target/log
  # Findings are replayed by `make test`; some that are not repaired yet never end, so they are no seeds.
  if ! "$folder/release/fuzz" "${options[@]}" -runs="$left" "$folder/corpus/$target" "$folder/seeds/$target" >"$log" 2>&1; then
    tail -n 60 "$log"
    echo "$target: found something (seed $(grep -ao 'Seed: [0-9]*' "$log" | grep -o '[0-9]*')); see $folder/found/$target"
    exit 1
  fi
  runs=$(grep -ao 'stat::number_of_executed_units: *[0-9]*' "$log" | grep -o '[0-9]*$')
  portion=$((($(date +%s%N) - begin) / 1000000))
  seconds=$((seconds + portion)) left=$((left - runs))
  coverage=$(grep -a 'DONE' "$log" | grep -ao 'cov: .*corp: [0-9]*')
  echo "$target: $runs inputs in $((portion / 1000)) s, $((runs * 1000 / (portion + 1))) a second, $(grep -ao 'Seed: [0-9]*' "$log"), $coverage"
done
echo "$target: $all inputs in $((seconds / 1000)) s, nothing found"
