/** The program's commands, options and settings, from the tables that --help prints, as man pages
 * and as the data of shell completion. Everything is Local; the streams are borrowed, and an error
 * of writing stays in them (ferror). */
#pragma once

#include "cli/cli.h"

enum { INTERFACE_MAX_SETTINGS = 256 };

/* settings.c */
/** The settings that a command with `settings` takes by --set, in the order of its help. Returns
 * their number. */
int interface_settings(cli_settings settings, const cf_setting *out[INTERFACE_MAX_SETTINGS]);
/** The words that the value of a setting may be, as "auto|no"; NULL if it is no choice. */
const char *interface_choices(const cf_setting *row);
/** Print the words of "auto|no" with blanks between them. */
void interface_words(const char *choices, FILE *out);

/* man.c */
/** The page of the program, llminit(1). */
void interface_man(FILE *out);
/** The page of a command, as llminit-train(1). */
void interface_man_command(const cli_command *command, FILE *out);

/* bash.c, zsh.c */
/** The functions that llminit.bash and llminit.zsh call, as their comments say. */
void interface_bash(FILE *out);
void interface_zsh(FILE *out);
