/*
** l_zlib.c: compression of a session, for Lua. Whether the protocol is at the right place is the caller's affair.
*/
#include "bind/l_zlib.h"

#include "bind/bind.h"
#include "zlib/deflate.h"

int lm_box_start_deflate(lua_State *L) {
  struct lm_box *b = lm_boxself(L);
  struct lm_filter *f;
  const char *why = "the session cannot be compressed";
  if (lm_deflate_find(&b->link)) return lm_push_id(L, 0, "compression is on already");
  if ((f = lm_deflate_new()) == NULL) return luaL_error(L, "out of memory");
  if (!lm_link_continue(&b->link, f)) return lm_push_id(L, 0, why);
  b->type->secured(b->session);
  lm_link_turn(&b->link);
  lua_pushboolean(L, 1);
  return 1;
}

static void set_count(lua_State *L, const char *name, uint64_t n) {
  lm_push_u64(L, n);
  lua_setfield(L, -2, name);
}

int lm_box_deflate_count(lua_State *L) {
  const struct lm_filter *f = lm_deflate_find(&lm_boxself(L)->link);
  struct lm_deflate_count n;
  if (f == NULL) return 0;
  n = lm_deflate_count(f);
  lua_createtable(L, 0, 4);
  set_count(L, "received", n.in);
  set_count(L, "received_plain", n.in_plain);
  set_count(L, "sent", n.out);
  set_count(L, "sent_plain", n.out_plain);
  return 1;
}
