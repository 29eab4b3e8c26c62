# What Tab offers behind `agentcli`, in bash. Read by ~/.bashrc; the words come from the program itself.

_agentcli() {
    local how line
    COMPREPLY=()
    case $3 in
        *[\<\>]) compopt -o default 2>/dev/null && return ;;
    esac
    {
        IFS= read -r how
        while IFS= read -r line; do COMPREPLY+=("$line"); done
    } < <(
        _AGENTCLI_COMPLETE=bash COLUMNS="$COLUMNS" COMP_TYPE="$COMP_TYPE" \
            command agentcli "${COMP_LINE:0:COMP_POINT}" "$2" </dev/null 2>/dev/null
    )
    case $how in
        files*) compopt -o default 2>/dev/null ;;
        unspaced) compopt -o nospace 2>/dev/null ;;
    esac
}

# A bash before 4.4, as on macOS, can neither keep the order nor choose between words and files: there, files stand in for no words.
complete -o nosort -F _agentcli agentcli 2>/dev/null || complete -o default -F _agentcli agentcli
