# What Tab offers behind `agentcli`, in fish. Read from the folder of completions; the words come from the program itself.

function __agentcli_words
    set -l words (commandline -opc)
    set -e words[1]
    set -l typed (commandline -ct)
    set -l answer (env _AGENTCLI_COMPLETE=fish agentcli $words "$typed" </dev/null 2>/dev/null)
    if string match -q 'files*' -- "$answer[1]"
        complete --do-complete "'' $typed"
    else if set -q answer[2]
        printf '%s\n' $answer[2..-1]
    end
end

complete --command agentcli --erase
complete --command agentcli --no-files --keep-order --arguments '(__agentcli_words)'
