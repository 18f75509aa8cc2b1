/*
** push_imap.h: parsed IMAP data as Lua tables, in the shapes that mail.imap gives them.
**
** Keys come from one array of ready-made strings, so that a table of ten fields costs ten array
** reads and no hashing of names. Recursion follows the depth that the parser has limited.
*/
#ifndef LM_BIND_PUSH_IMAP_H
#define LM_BIND_PUSH_IMAP_H

#include "bind/compat.h"
#include "imap/resp.h"

/* Makes the array of keys; once for each Lua state. */
void lm_imap_push_setup(lua_State *L);

/* Pushes a value: nil is false, a list an array (its fields by name), a set {member = true}. */
void lm_imap_push_value(lua_State *L, const struct lm_imap_value *v);

/* Pushes the value, or nil where there is none. */
void lm_imap_push_optional(lua_State *L, const struct lm_imap_value *v);

/* Pushes a message: {seq=, uid=, flags=, envelope=, body=, ...}. */
void lm_imap_push_fetch(lua_State *L, const struct lm_imap_fetch *f);

/* Pushes a response in the shape of mail.imap.parse. */
void lm_imap_push_resp(lua_State *L, const struct lm_imap_resp *r);

#endif
