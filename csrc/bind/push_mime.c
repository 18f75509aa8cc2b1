/*
** push_mime.c: header values as Lua values.
*/
#include "bind/push_mime.h"

#include "base/chars.h"
#include "mime/word2047.h"

int lm_no_memory(lua_State *L) {
  return luaL_error(L, "out of memory");
}

static void set_text(lua_State *L, const char *field, struct lm_str s) {
  lm_pushstr(L, s);
  lua_setfield(L, -2, field);
}

/* {name=, address=}; both may be missing in what malformed headers give. */
static void push_mailbox(lua_State *L, struct lm_arena *a, const struct lm_addr *addr) {
  struct lm_str spec;
  lua_createtable(L, 0, 2);
  if (addr->name.n) set_text(L, "name", addr->name);
  if (addr->local.p == NULL) return;
  if (!lm_addr_spec(a, addr, &spec)) lm_no_memory(L);
  set_text(L, "address", spec);
}

/* An array of mailboxes and {group=, members={...}}. The array that is being filled is on top; in a
** group that is its members, above the group, above the array. */
void lm_push_addresses(lua_State *L, struct lm_arena *a, const struct lm_addr_list *list) {
  const struct lm_addr *addr;
  int n = 0;
  int members = 0;
  lua_newtable(L);
  for (addr = list->first; addr; addr = addr->next) {
    switch (addr->kind) {
    case LM_ADDR_MAILBOX:
      push_mailbox(L, a, addr);
      lua_rawseti(L, -2, addr->member ? ++members : ++n);
      break;
    case LM_ADDR_GROUP:
      lua_createtable(L, 0, 2);
      set_text(L, "group", addr->name);
      lua_newtable(L);
      members = 0;
      break;
    case LM_ADDR_GROUP_END:
      lua_setfield(L, -2, "members");
      lua_rawseti(L, -2, ++n);
      break;
    }
  }
}

void lm_push_params(lua_State *L, const struct lm_params *params) {
  const struct lm_param *param;
  lua_createtable(L, 0, params->count < 64 ? (int)params->count : 64);
  for (param = params->first; param; param = param->next) {
    lm_pushstr(L, param->name);
    lm_pushstr(L, param->value);
    lua_rawset(L, -3);
  }
}

void lm_push_lower(lua_State *L, struct lm_str s) {
  luaL_Buffer b;
  size_t i;
  luaL_buffinit(L, &b);
  for (i = 0; i < s.n; i++) luaL_addchar(&b, lm_lower(s.p[i]));
  luaL_pushresult(&b);
}

static bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct lm_str lm_trimmed(struct lm_str s) {
  while (s.n && is_blank(s.p[0])) s = (struct lm_str){s.p + 1, s.n - 1};
  while (s.n && is_blank(s.p[s.n - 1])) s.n--;
  return s;
}

void lm_push_decoded(lua_State *L, struct lm_arena *a, struct lm_str raw) {
  struct lm_str out;
  if (!lm_word2047_decode(a, lm_trimmed(raw), &out)) lm_no_memory(L);
  lm_pushstr(L, out);
}

void lm_push_epoch(lua_State *L, int64_t epoch) {
  if (sizeof(lua_Integer) >= 8) {
    lua_pushinteger(L, (lua_Integer)epoch);
  } else {
    lua_pushnumber(L, (lua_Number)epoch);
  }
}
