/*
** push_mime.h: header values as Lua values; shared by l_mime.c and l_message.c.
**
** Each raises where memory is short: what it allocated lies in the arena, which its owner empties.
*/
#ifndef LM_BIND_PUSH_MIME_H
#define LM_BIND_PUSH_MIME_H

#include "bind/compat.h"
#include "mime/addr.h"
#include "mime/params.h"

int lm_no_memory(lua_State *L);

/* An array of {name=, address=} and {group=, members={...}}. */
void lm_push_addresses(lua_State *L, struct lm_arena *a, const struct lm_addr_list *list);

/* {name = value}, names in lower case. */
void lm_push_params(lua_State *L, const struct lm_params *params);

/* ASCII letters in lower case. */
void lm_push_lower(lua_State *L, struct lm_str s);

/* A raw value, folds and all, as UTF-8 on one line without white space around it. */
void lm_push_decoded(lua_State *L, struct lm_arena *a, struct lm_str raw);

/* Seconds since 1970. */
void lm_push_epoch(lua_State *L, int64_t epoch);

/* `s` without white space and line ends around it. */
struct lm_str lm_trimmed(struct lm_str s);

#endif
