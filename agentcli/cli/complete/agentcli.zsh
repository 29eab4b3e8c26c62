#compdef agentcli
# What Tab offers behind `agentcli`, in zsh. Read by .zshrc, or put into a folder of $fpath as _agentcli; the words come from the program.

_agentcli() {
    local how prefix line
    local -a answer values shown extra
    answer=("${(@f)$(
        _AGENTCLI_COMPLETE=zsh COLUMNS=$COLUMNS \
            command agentcli "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" </dev/null 2>/dev/null
    )}")
    how=${answer[1]%% *} prefix=${answer[1]#* }
    if [[ $how == files ]]; then
        if [[ -n $prefix && $PREFIX == "$prefix"* ]]; then
            IPREFIX+=$prefix
            PREFIX=${PREFIX#"$prefix"}
        fi
        _files
        return
    fi
    for line in "${(@)answer[2,-1]}"; do
        values+=("${line%%$'\t'*}")
        shown+=("${line#*$'\t'}")
    done
    (( $#values )) || return 1
    [[ "$values" != "$shown" ]] && extra+=(-l)  # one a line
    case $how in
        unspaced) extra+=(-S '') ;;
        found)  # they do not begin with what was typed: Tab goes through them
            extra+=(-U)
            (( $#values > 1 )) && compstate[insert]=menu compstate[list]='list force'
            ;;
    esac
    compadd "${extra[@]}" -V agentcli -d shown -a values
}

if [[ $funcstack[1] == _agentcli ]]; then
    _agentcli "$@"
else
    (( $+functions[compdef] )) || { autoload -Uz compinit && compinit -i }
    compdef _agentcli agentcli
fi
