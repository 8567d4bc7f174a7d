# What zsh offers for a command line: zsh -f complete.zsh FILE LINE, with the completion in FILE.
# Completion runs in zsh's line editor only: so a second zsh, on a terminal, in which compadd also tells what it is
# given.
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell 'unsetopt zle_bracketed_paste; autoload -Uz compinit && compinit -u -D'
zpty -w shell "_bpfns_of_test() { source $1 }; compdef _bpfns_of_test bpfns"
zpty -w shell 'compadd() {
	local -a offered
	if [[ -z ${argv[(r)-[OAD]]} ]]; then builtin compadd -O offered "$@"; print -rl -- OFFERED:$^offered; fi
	builtin compadd "$@"
}'
# The editor is there when the prompt is.
zpty -w shell 'PROMPT=REA""DY'
zpty -r shell output '*READY*'
zpty -w -n shell "$2"$'\t'
zpty -w -n shell $'\C-u''print DO""NE'$'\n'
zpty -r shell output '*DONE*'
print -r -- $output
