# What Tab offers behind `agentcli`, in PowerShell. Read by the profile; the words come from the program itself.

Register-ArgumentCompleter -Native -CommandName agentcli -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)
    $program = Get-Command agentcli -CommandType Application -ErrorAction Ignore | Select-Object -First 1
    if (-not $program) { return }
    $words = @($commandAst.CommandElements | Select-Object -Skip 1 | Where-Object { $_.Extent.EndOffset -lt $cursorPosition } | ForEach-Object {
        if ($_ -is [System.Management.Automation.Language.StringConstantExpressionAst]) { $_.Value -replace "`n", ' ' } else { $_.Extent.Text }
    })
    $encoding, $code = [Console]::OutputEncoding, $global:LASTEXITCODE
    try {
        try { [Console]::OutputEncoding = [System.Text.Encoding]::UTF8 } catch { }
        $Env:_AGENTCLI_COMPLETE = 'powershell'
        $Env:_AGENTCLI_WORDS = (@('agentcli') + $words + $wordToComplete) -join "`n"
        $answer = @(& $program 2>$null)
    } finally {
        Remove-Item Env:_AGENTCLI_COMPLETE, Env:_AGENTCLI_WORDS -ErrorAction Ignore
        try { [Console]::OutputEncoding = $encoding } catch { }
        $global:LASTEXITCODE = $code
    }
    if (-not $answer -or $answer[0] -like 'files*') { return }
    $answer | Select-Object -Skip 1 | ForEach-Object {
        $value, $about = $_ -split "`t", 2
        $shown = if ($about) { "$value  $about" } else { $value }
        $tip = if ($about) { $about } else { $value }
        [System.Management.Automation.CompletionResult]::new($value, $shown, 'ParameterValue', $tip)
    }
}
