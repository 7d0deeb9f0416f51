#compdef llminit
# zsh completion of llminit: commands, options, settings behind --set and their values, files. The functions that it calls at the
# end of the file are made from the program's tables:
#     _llminit_list_commands          sets commands: "NAME:what it does"
#     _llminit_list_options COMMAND   sets options: as _arguments takes them
#     _llminit_list_settings COMMAND  sets settings: "NAME:what it is"
#     _llminit_list_values COMMAND NAME   sets choices: what the value of a setting may be

# _llminit_setting COMMAND: NAME= or the values of NAME
_llminit_setting() {
    local -a settings choices
    if compset -P '*='; then
        _llminit_list_values "$1" "${${IPREFIX%=}##*=}"
        (( $#choices )) && compadd -a choices
    else
        _llminit_list_settings "$1"
        _describe -t settings setting settings -S =
    fi
}

_llminit() {
    local -a commands options
    if (( CURRENT == 2 )); then
        _llminit_list_commands
        _describe -t commands command commands
        compadd -- --help --version
        return
    fi
    _llminit_list_options "$words[2]"
    shift words
    (( CURRENT-- ))
    _arguments $options
}

