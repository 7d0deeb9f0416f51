# shellcheck shell=bash
# bash completion of llminit: commands, options, settings behind --set and their values, files. The functions that it calls at the
# end of the file are made from the program's tables:
#     _llminit_commands            the commands, one a line
#     _llminit_options COMMAND     a line for each option: name, kind of its value ("flag": none), words that the value may be
#     _llminit_operand COMMAND     the kind of its operands
#     _llminit_settings COMMAND    a line for each setting: name, words that its value may be

# _llminit_take PREFIX WORD...: the words that begin with $value are what is proposed, with PREFIX in front
_llminit_take() {
    local prefix=$1
    shift
    mapfile -t COMPREPLY < <(compgen -P "$prefix" -W "$*" -- "$value")
}

# _llminit_files PREFIX OPTION_OF_COMPGEN...
_llminit_files() {
    local prefix=$1
    shift
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -P "$prefix" "$@" -- "$value")
}

# _llminit_setting COMMAND PREFIX: NAME= or the values of NAME
_llminit_setting() {
    local name words names=()
    while read -r name words; do
        if [[ $value == "$name="* ]]; then
            value=${value#*=}
            # shellcheck disable=SC2086 # words; bash has cut off what is before "="
            if [[ $COMP_WORDBREAKS == *=* ]]; then
                _llminit_take "" $words
            else
                _llminit_take "$2$name=" $words
            fi
            return
        fi
        names+=("$name=")
    done < <(_llminit_settings "$1")
    compopt -o nospace 2>/dev/null
    _llminit_take "$2" "${names[@]}"
}

# _llminit_value COMMAND PREFIX KIND [WORD...]: what an option or operand takes
_llminit_value() {
    case $3 in
    word) _llminit_take "$2" "${@:4}" ;;
    setting) _llminit_setting "$1" "$2" ;;
    file) _llminit_files "$2" -f ;;
    folder) _llminit_files "$2" -d ;;
    yaml)
        local pattern found=()
        for pattern in '!*.yaml' '!*.yml'; do
            _llminit_files "$2" -f -X "$pattern"
            found+=("${COMPREPLY[@]}")
        done
        _llminit_files "$2" -d
        COMPREPLY+=("${found[@]}")
        ;;
    esac
}

_llminit() {
    local words=() word k value prefix='' name kind choices options=()
    COMPREPLY=()
    # bash cuts words at "=" (COMP_WORDBREAKS): they are joined again
    for ((k = 0; k <= COMP_CWORD; k++)); do
        word=${COMP_WORDS[k]}
        if ((k > 0)) && [[ $word == = || ${COMP_WORDS[k - 1]} == = ]]; then
            words[${#words[@]} - 1]+=$word
        else
            words+=("$word")
        fi
    done
    local n=${#words[@]} command=${words[1]-}
    value=${words[n - 1]}
    if ((n <= 2)); then
        _llminit_take "" "$(_llminit_commands)" --help --version
        return
    fi
    local option=${words[n - 2]}
    if [[ $value == --*=* ]]; then
        option=${value%%=*}
        value=${value#*=}
        [[ $COMP_WORDBREAKS == *=* ]] || prefix=$option=
    fi
    while read -r name kind choices; do
        options+=("$name")
        if [[ $name == "$option" && $kind != flag ]]; then
            # shellcheck disable=SC2086 # words
            _llminit_value "$command" "$prefix" "$kind" $choices
            return
        fi
    done < <(_llminit_options "$command")
    if [[ $value == -* ]]; then
        _llminit_take "" "${options[@]}"
    else
        _llminit_value "$command" "" "$(_llminit_operand "$command")"
    fi
}

complete -F _llminit llminit

