/*
** message.h: a message in memory as the files of the binding share it: l_message.c (structure),
** l_content.c (content), l_fields.c (header fields), l_inside.c (files in contents) and l_check.c (what is
** wrong).
*/
#ifndef LM_BIND_MESSAGE_H
#define LM_BIND_MESSAGE_H

#include "base/arena.h"
#include "base/buf.h"
#include "bind/bind.h"
#include "mime/charset.h"
#include "mime/params.h"
#include "mime/tree.h"
#include "os/whole.h"

/* Memory that all messages of one Lua state use in turn: what a call leaves in it is gone at the next. */
struct lm_scratch {
  struct lm_shared shared;
  struct lm_parser *parser;
  struct lm_tree tree; /* before it is copied behind its message */
  struct lm_arena arena;
  struct lm_buf buf;
  struct lm_buf flowed;
  struct lm_converters converters;
};

/* What a message needs that is no Lua string: an object of its own, since those with a finalizer cost more. */
struct lm_holding {
  struct lm_whole file; /* where the text lies, or ... */
  struct lm_buf pieces; /* ... here */
  struct lm_tree tree;
  bool gone; /* its finalizer ran: the state is being closed */
};

/* The user value keeps the string that is the text, or `own`. */
struct lm_message {
  struct lm_tree tree; /* its arrays lie behind this, or in `own` */
  struct lm_mime_limits limits;
  struct lm_holding *own; /* NULL: the text is a string */
  bool ready;             /* the tree was read */
};

/* Argument 1 as a message that was read. */
struct lm_message *lm_checkmessage(lua_State *L);

/* Scratch memory that is empty, as of lm_take: for methods of messages, and those who make them. */
struct lm_scratch *lm_take_scratch(lua_State *L);

/* Argument 2, an index from 1 on, as a part of it. */
const struct lm_part *lm_checkpart(lua_State *L, const struct lm_message *m);

static inline struct lm_str lm_message_sub(const struct lm_message *m, size_t from, size_t to) {
  return (struct lm_str){m->tree.text.p + from, to - from};
}

/* A table of limits at `i` (nil: the defaults); an unknown name is an argument error. */
void lm_checkmimelimits(lua_State *L, int i, struct lm_mime_limits *out);

/* The octets of a part without transfer encoding, in the scratch memory or where they stand; what holds other
** parts is as it stands. */
struct lm_str lm_message_decoded(lua_State *L, struct lm_scratch *s, const struct lm_message *m,
                                 const struct lm_part *part, size_t *defects_out);

/* The parameters of a field's value. */
void lm_message_params(lua_State *L, struct lm_scratch *s, const struct lm_message *m,
                       struct lm_str raw, struct lm_params *out);

/* Methods over contents, and core functions over the files they go to; over header fields; over files that lie
** in contents. */
extern const luaL_Reg lm_content_methods[];
extern const luaL_Reg lm_content_functions[];
extern const luaL_Reg lm_field_methods[];
extern const luaL_Reg lm_inside_methods[];

/* check() -> array of {what=, offset= from 1 on, field=} of all that is wrong, how many there were */
int lm_message_check(lua_State *L);

#endif
