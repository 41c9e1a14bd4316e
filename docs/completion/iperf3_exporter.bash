# bash completion for iperf3_exporter
_iperf3_exporter() {
  local flags="--web.listen-address= --web.telemetry-path= --web.probe-path= --web.results-path= --web.config.file=
    --web.systemd-socket --web.max-connections= --config.file= --state.directory= --iperf3.path= --iperf3.timeout= --probe.timeout-offset= --probe.default-timeout=
    --probe.max-period= --probe.max-parallel= --probe.max-bitrate= --probe.allow-target= --probe.deny-target=
    --probe.allow-port= --probe.retries= --probe.require-module --probe.failure-values= --probe.labels= --probe.max-queued= --lock.scope= --lock.name= --lock.timeout=
    --worker.count= --worker.path= --sandbox= --log.level= --log.format= --config.check --help --version"
  # "=" splits words in bash: the flag is then one or two words back.
  local current=${COMP_WORDS[COMP_CWORD]} flag=${COMP_WORDS[COMP_CWORD - 1]} words
  if [ "$current" = "=" ]; then
    current=""
  elif [ "$flag" = "=" ]; then
    flag=${COMP_WORDS[COMP_CWORD - 2]}
  fi
  case $flag in
  --web.config.file | --config.file | --iperf3.path | --worker.path)
    mapfile -t COMPREPLY < <(compgen -f -- "$current")
    return
    ;;
  --state.directory)
    mapfile -t COMPREPLY < <(compgen -d -- "$current")
    return
    ;;
  --probe.failure-values) words="zero absent" ;;
  --probe.labels) words="plain fork" ;;
  --lock.scope) words="host bind target none" ;;
  --sandbox) words="require best-effort diagnose" ;;
  --log.level) words="debug info warn error" ;;
  --log.format) words="logfmt json" ;;
  *) words=$flags ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
  if [[ ${COMPREPLY[0]-} == *= ]]; then compopt -o nospace; fi
}
complete -F _iperf3_exporter iperf3_exporter
