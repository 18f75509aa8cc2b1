/*
** bind.h: what all userdata of the library share.
**
** A class is a metatable; its methods are closures with that metatable as upvalue 1, so a method
** knows its own objects by one comparison. A session is a box: the link (wire and filters), the
** protocol session, and the table of functions that tell them apart.
*/
#ifndef LM_BIND_BIND_H
#define LM_BIND_BIND_H

#include "base/link.h"
#include "bind/compat.h"

/* --- classes --------------------------------------------------------------------------------- */

/* Makes a class: pushes nothing, sets core[field] = metatable (core is on the top of the stack).
** Methods go to metatable.__index, `meta` (may be NULL) into the metatable itself. */
void lm_newclass(lua_State *L, const char *field, const char *name, const luaL_Reg *methods,
                 const luaL_Reg *meta);

/* Adds more methods to the class under core[field] (core on the top of the stack). */
void lm_addmethods(lua_State *L, const char *field, const luaL_Reg *methods);

/* The userdata on the top of the stack keeps the value at `i` (not a relative index) from being collected. */
void lm_keepvalue(lua_State *L, int i);

/* A new userdata of the class whose metatable lies at `mt`: cleared, collectable at once. */
void *lm_newobject(lua_State *L, size_t size, int mt);

/* An empty buffer on the top of the stack, which is wiped and freed when it is collected: for what is made in
** memory of ours and then pushed, which may raise. */
struct lm_buf *lm_newbuffer(lua_State *L);

/* Pushes what the buffer holds and gives its memory back; where `made` is false, raises: memory was short. */
int lm_push_buffer(lua_State *L, struct lm_buf *b, bool made);

/* True inside of finalizers. Later Luas know; some earlier ones cannot tell it from a collector that the host
** stopped, and 5.1 knows nothing. */
bool lm_is_finalizing(lua_State *L);

/* Argument 1 as an object of the class in upvalue 1; an argument error otherwise. */
void *lm_checkself(lua_State *L);

/* Argument `i` as a path; one with NUL in it is an argument error, for the system would see another. */
const char *lm_checkpath(lua_State *L, int i);

/* --- scratch memory --------------------------------------------------------------------------
** What functions work in, from call to call. Lua may collect in any call of ours that allocates, and the
** host's finalizers may call us again: whoever comes while scratch memory is taken gets another, and that
** is the one from then on. Thus one that was never given back, since Lua raised, costs a new one, once. */

/* The head of each. */
struct lm_shared {
  bool taken;
};

/* The table on the top of the stack (a class) has scratch memory from now on: cleared, of the class at `mt`,
** whose finalizer frees what is in it. */
void lm_share(lua_State *L, size_t size, int mt);

/* Scratch memory of the class in upvalue 1, on the top of the stack too, where it must stay; the arguments
** were checked before. */
void *lm_take(lua_State *L);

/* Gives it back, behind the last use of what lies in it. Returns `results`. */
static inline int lm_give(struct lm_shared *s, int results) {
  s->taken = false;
  return results;
}

/* --- boxes: the head of every session userdata ------------------------------------------------ */

struct lm_box;

struct lm_box_type {
  /* One event: pushes its values, their count to *n_out. LM_WAIT and LM_FAIL push nothing. */
  enum lm_status (*next)(lua_State *L, struct lm_box *b, int *n_out);
  void (*abandon)(void *session, uint32_t id);
  void (*secured)(void *session); /* a layer was put in: forget what the server said before */
  void (*free)(void *session);
};

enum { LM_ANCHORS = 8 };

struct lm_box {
  struct lm_link link;
  void *session; /* struct lm_smtpc * ...; NULL once freed */
  const struct lm_box_type *type;
  uint32_t anchored[LM_ANCHORS]; /* the ids of what is kept alive, by place */
  unsigned char places;          /* which of these are taken, bit by bit */
  int anchors;                   /* where the registry holds them; 0: nowhere yet */
  /* While a call uses memory of the session between calls of Lua's: where, and which function of ours. Still
  ** so behind it: Lua raised. */
  lua_State *holder;
  lua_CFunction by;
  bool kept;     /* the registry keeps that coroutine */
  bool pushing;  /* it pushes an event, which is lost where Lua raises */
  void *parting; /* the session, where it was freed meanwhile */
};

/* --- sessions in use -------------------------------------------------------------------------
** Lua may collect in any call of ours that allocates, and the host's finalizers may call us again. A function
** that uses memory of the session behind such a call holds the session: until it lets go, methods of that
** session raise, and `free` is put off. What Lua raises through is found out at the next call. */

/* `by`: the function that is called, with the session as its argument 1 or 2. */
void lm_box_hold(lua_State *L, struct lm_box *b, lua_CFunction by);

/* The same where that function reads tables by the host's metamethods, too. */
void lm_box_hold_and_call(lua_State *L, struct lm_box *b, lua_CFunction by);

/* Returns `results`. */
int lm_box_let_go(lua_State *L, struct lm_box *b, int results);

/* The string at `i`, an argument of a session's method: to make one of a number may collect, and a finalizer
** free the session, which is an error then. */
struct lm_str lm_boxstr(lua_State *L, int i);

/* The same where there may be none: LM_NOSTR. */
struct lm_str lm_optboxstr(lua_State *L, int i);

/* Sets up the class of a session: common methods, then the protocol's own. */
void lm_newboxclass(lua_State *L, const char *field, const char *name, const luaL_Reg *methods);

/* A new box with nothing in it yet; metatable at `mt`. The caller then sets session and
** link.wire. */
struct lm_box *lm_newbox(lua_State *L, const struct lm_box_type *type, int mt);

/* The session's next event, moved through its filters: LM_EVENT pushed *n_out values. Where memory was short
** for one, that is lost, and the session has failed at the next call. `by`: the function that is called. */
enum lm_status lm_box_next(lua_State *L, struct lm_box *b, lua_CFunction by, int *n_out);

/* Any session at `i`, of whatever class; an argument error otherwise. Raises where it is in use. */
struct lm_box *lm_checkbox(lua_State *L, int i);

/* Argument 1 as a live session of the class in upvalue 1: raises where it was closed, or is in use. */
struct lm_box *lm_boxself(lua_State *L);

/* The same; NULL where it is in use: for what is said in passing, so that a finalizer can close it. */
struct lm_box *lm_box_unused(lua_State *L);

/* Keeps the value at `i` alive under `id`, or lets it go, which never raises. Keeping may: what is lent to a
** session is anchored before that has it. Under id 0 it does not, behind lm_box_may_anchor;
** behind that neither collects. */
void lm_box_may_anchor(lua_State *L, struct lm_box *b);
void lm_box_anchor(lua_State *L, struct lm_box *b, uint32_t id, int i);
void lm_box_release(lua_State *L, struct lm_box *b, uint32_t id);

/* Pushes `id`; or, where it is 0, nil and the reason. Returns how many. */
int lm_push_id(lua_State *L, uint32_t id, const char *why);

/* Reads a limits table at `i` (nil: defaults). An unknown name is an argument error. */
void lm_checklimits(lua_State *L, int i, struct lm_limits *out);

/* Feeds recorded bytes (argument 1) to a parser's wire, as many at a time as argument 2 says (nil: all),
** and takes what is whole after each piece: `take` answers LM_EVENT for one unit that it put into the
** table at `into`, LM_WAIT where it needs more. */
void lm_feed_recorded(lua_State *L, struct lm_wire *w, void *parser, int into,
                      enum lm_status (*take)(lua_State *L, void *parser, int into));

/* What the caller of a parser gets in the end: the table at `into`, or nil, kind and message. */
int lm_end_recorded(lua_State *L, const struct lm_wire *w, int into);

/* A failure as two values: kind of the public API, one readable line. Returns 2. */
int lm_push_error(lua_State *L, const struct lm_error *e);

#endif
