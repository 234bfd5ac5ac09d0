# bash completion for gptbench. What can stand where the program itself says: `gptbench complete WORD...`
# (bench/commands/cmd_complete.c).

# Files that end in one of the suffixes, any without a suffix, and directories.
_gptbench_files() { # TYPED SUFFIX...
    local typed=$1 suffix
    shift
    compopt -o filenames 2>/dev/null
    COMPREPLY+=($(compgen -d -- "$typed"))
    if [ $# -eq 0 ]; then
        COMPREPLY+=($(compgen -f -- "$typed"))
    fi
    for suffix in "$@"; do
        COMPREPLY+=($(compgen -f -X "!*.$suffix" -- "$typed"))
    done
}

_gptbench() {
    local IFS=$'\n' word line typed before i last=-1
    local -a words=() suffixes=()
    COMPREPLY=()
    # bash takes --key=value and synth:... apart at '=' and ':'; the program gets them whole.
    for ((i = 1; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]//[\"\'\\]/}
        if [ $last -ge 0 ] && { [[ $word == [=:]* ]] || [[ ${words[last]} == *[=:] ]]; }; then
            words[last]+=$word
        else
            words[++last]=$word
        fi
    done
    typed=${COMP_WORDS[COMP_CWORD]//[\"\'\\]/}
    [[ $typed == [=:] ]] && typed=
    before=${words[last]%"$typed"} # what bash keeps of the word
    while read -r line; do
        case $line in
        :nospace) compopt -o nospace 2>/dev/null ;;
        :directories)
            [[ -z $before || $before == *= ]] || continue
            compopt -o filenames 2>/dev/null
            COMPREPLY+=($(compgen -d -- "${typed##*=}"))
            ;;
        :files*)
            [[ -z $before || $before == *= ]] || continue
            IFS=' ' read -ra suffixes <<<"${line#:files}"
            _gptbench_files "${typed##*=}" "${suffixes[@]}"
            ;;
        ?*)
            word=${line%%$'\t'*}
            word=${word#"$before"}
            [[ $word == *[!A-Za-z0-9_=+.,:/@%-]* ]] && word=$(printf %q "$word")
            [ -n "$word" ] && COMPREPLY+=("$word")
            ;;
        esac
    done < <("${COMP_WORDS[0]/#\~/$HOME}" complete "${words[@]}" 2>/dev/null)
}
complete -F _gptbench gptbench
