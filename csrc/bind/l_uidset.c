/*
** l_uidset.c: class "mail.imap.uidset", sets of message numbers as ranges; core.uidset.
**
** What lua/mail/imap/set.lua stands on: it knows nothing of sessions or mailboxes. Eight octets a
** range; a set is never expanded unless list() is asked for. "*" is refused: how many messages it
** names nobody here knows.
** Invariant: where `loose` is false, the ranges are sorted and joined.
*/
#include "bind/bind.h"
#include "bind/open.h"
#include "imap/seqset.h"

struct uidset {
  struct lm_seqset set;
  uint64_t count;  /* of numbers; valid where `counted` */
  size_t at;       /* the range that at() looked into last */
  uint64_t before; /* how many numbers lie in the ranges before that */
  bool counted;
  bool loose; /* something was added out of order */
};

static int no_memory(lua_State *L) {
  return luaL_error(L, "out of memory");
}

static struct uidset *tidy(struct uidset *u) {
  if (u->loose) lm_seqset_sort(&u->set);
  u->loose = false;
  return u;
}

static struct uidset *self(lua_State *L) {
  return tidy(lm_checkself(L));
}

/* Argument `i` as another set; an argument error otherwise. */
static struct uidset *other(lua_State *L, int i) {
  void *p = lua_touserdata(L, i);
  int same = p && lua_getmetatable(L, i) && lua_rawequal(L, -1, lua_upvalueindex(1));
  luaL_argcheck(L, same, i, "a uidset expected");
  lua_pop(L, 1);
  return tidy(p);
}

static struct uidset *fresh(lua_State *L) {
  return lm_newobject(L, sizeof(struct uidset), lua_upvalueindex(1));
}

static bool is_number(lua_Number n) {
  return n >= 1 && n <= 4294967295.0 && n == (lua_Number)(uint32_t)n;
}

static uint32_t checknumber(lua_State *L, int i) {
  lua_Number n = luaL_checknumber(L, i);
  luaL_argcheck(L, is_number(n), i, "a number from 1 to 4294967295 expected");
  return (uint32_t)n;
}

/* --- filling --------------------------------------------------------------------------------------- */

enum filled { FILLED, NO_SET, NO_ROOM };

/* Adds a range; one that continues the last costs nothing. */
static bool put(struct uidset *u, uint32_t lo, uint32_t hi) {
  struct lm_range *last = u->set.n ? &u->set.p[u->set.n - 1] : NULL;
  u->counted = false;
  if (last && !u->loose && lo >= last->lo && (lo <= last->hi || lo - last->hi == 1)) {
    if (hi > last->hi) last->hi = hi;
    return true;
  }
  u->loose |= last && lo < last->lo;
  return lm_seqset_add(&u->set, lo, hi);
}

static enum filled put_text(struct uidset *u, struct lm_str text) {
  struct lm_range r;
  bool bad = text.n == 0;
  while (!bad && lm_seqset_next(&text, &r, &bad)) {
    if (r.lo == LM_SEQ_STAR || r.hi == LM_SEQ_STAR) return NO_SET;
    if (!put(u, r.lo < r.hi ? r.lo : r.hi, r.lo < r.hi ? r.hi : r.lo)) return NO_ROOM;
  }
  return bad ? NO_SET : FILLED;
}

/* The number or text at `i`. */
static enum filled put_one(lua_State *L, struct uidset *u, int i) {
  lua_Number n;
  if (lua_type(L, i) == LUA_TSTRING) return put_text(u, lm_checkstr(L, i));
  if (lua_type(L, i) != LUA_TNUMBER) return NO_SET;
  n = lua_tonumber(L, i);
  if (!is_number(n)) return NO_SET;
  return put(u, (uint32_t)n, (uint32_t)n) ? FILLED : NO_ROOM;
}

static enum filled put_all(lua_State *L, struct uidset *u, int i) {
  enum filled got = FILLED;
  int k, n = (int)lua_rawlen(L, i);
  for (k = 1; k <= n && got == FILLED; k++) {
    lua_rawgeti(L, i, k);
    got = put_one(L, u, -1);
    lua_pop(L, 1);
  }
  return got;
}

/* uidset([number | text | array of these]) -> set | nil, reason */
static int uidset(lua_State *L) {
  enum filled got = FILLED;
  struct uidset *u;
  lua_settop(L, 1);
  u = fresh(L);
  if (lua_istable(L, 1)) {
    got = put_all(L, u, 1);
  } else if (!lua_isnil(L, 1)) {
    got = put_one(L, u, 1);
  }
  if (got == FILLED) return 1;
  if (got == NO_ROOM) return no_memory(L);
  return lm_push_id(L, 0, "numbers from 1 to 4294967295, or text like \"1:3,7\", make a set");
}

/* set:add(number [, last]): cheapest in rising order */
static int add(lua_State *L) {
  struct uidset *u = lm_checkself(L);
  uint32_t lo = checknumber(L, 2), hi = lua_isnoneornil(L, 3) ? lo : checknumber(L, 3);
  luaL_argcheck(L, lo <= hi, 3, "the last number is below the first");
  return put(u, lo, hi) ? 0 : no_memory(L);
}

/* --- asking ----------------------------------------------------------------------------------------- */

static uint64_t counted(struct uidset *u) {
  if (!u->counted) {
    u->count = lm_seqset_count(&u->set);
    u->at = 0;
    u->before = 0;
    u->counted = true;
  }
  return u->count;
}

/* set:count() -> how many numbers */
static int count(lua_State *L) {
  lm_push_u64(L, counted(self(L)));
  return 1;
}

/* set:spans() -> how many ranges */
static int spans(lua_State *L) {
  lm_push_u64(L, self(L)->set.n);
  return 1;
}

/* set:span(i) -> first, last of the i-th range; nothing where there is none */
static int span(lua_State *L) {
  struct uidset *u = self(L);
  lua_Number i = luaL_checknumber(L, 2);
  struct lm_range r;
  if (!(i >= 1 && i <= (lua_Number)u->set.n)) return 0;
  r = u->set.p[(size_t)i - 1];
  lm_push_u64(L, r.lo);
  lm_push_u64(L, r.hi);
  return 2;
}

/* set:has(number) -> boolean */
static int has(lua_State *L) {
  struct uidset *u = self(L);
  lua_Number n = luaL_checknumber(L, 2);
  lua_pushboolean(L, is_number(n) && lm_seqset_has(&u->set, (uint32_t)n));
  return 1;
}

static uint64_t width(const struct uidset *u) {
  return (uint64_t)u->set.p[u->at].hi - u->set.p[u->at].lo + 1;
}

/* set:at(i) -> the i-th number, or nil; a walk along costs one step for each */
static int at(lua_State *L) {
  struct uidset *u = self(L);
  lua_Number i = luaL_checknumber(L, 2);
  uint64_t n;
  if (!(i >= 1 && i <= (lua_Number)counted(u))) return 0;
  n = (uint64_t)i - 1;
  while (n < u->before) {
    u->at--;
    u->before -= width(u);
  }
  while (n >= u->before + width(u)) {
    u->before += width(u);
    u->at++;
  }
  lm_push_u64(L, u->set.p[u->at].lo + (n - u->before));
  return 1;
}

/* set:list() -> array of all numbers: ask count() first */
static int list(lua_State *L) {
  struct uidset *u = self(L);
  uint64_t total = counted(u);
  size_t i;
  int n = 0;
  luaL_argcheck(L, total <= 100000000, 1, "too many numbers for an array");
  lua_createtable(L, (int)total, 0);
  tidy(u); /* that may have collected, and a finalizer added to it */
  for (i = 0; i < u->set.n; i++) {
    uint64_t number = u->set.p[i].lo;
    for (; number <= u->set.p[i].hi; number++) {
      lm_push_u64(L, number);
      lua_rawseti(L, -2, ++n);
    }
  }
  return 1;
}

/* --- text ------------------------------------------------------------------------------------------- */

static int push_text(lua_State *L, struct uidset *u) {
  enum { FEW = 20, LONGEST = sizeof "4294967295:4294967295," - 1 };
  char room[FEW * LONGEST];
  struct lm_buf few = {room, 0, 0, sizeof room}, *many; /* few: never grows */
  if (u->set.n <= FEW) {
    lm_seqset_format(&u->set, &few);
    lm_pushstr(L, lm_buf_str(&few));
    return 1;
  }
  many = lm_newbuffer(L);
  tidy(u); /* that may have collected, and a finalizer added to it */
  return lm_push_buffer(L, many, lm_seqset_format(&u->set, many));
}

/* set:text() -> "1:3,7", "" where it is empty */
static int text(lua_State *L) {
  return push_text(L, self(L));
}

static uint64_t digits(uint32_t n) {
  uint64_t count = 1;
  for (; n >= 10; n /= 10) count++;
  return count;
}

/* Ranges of `u` from `from` on into *out: at least one, and while they fit into `octets`; at most
** `left` messages. */
static bool take_part(const struct uidset *u, uint32_t from, uint64_t octets, uint64_t left,
                      struct lm_seqset *out) {
  uint64_t used = 0;
  size_t i;
  for (i = lm_seqset_find(&u->set, from); i < u->set.n && left; i++) {
    struct lm_range r = u->set.p[i];
    if (r.lo < from) r.lo = from;
    if ((uint64_t)r.hi - r.lo >= left) r.hi = (uint32_t)(r.lo + (left - 1));
    left -= (uint64_t)r.hi - r.lo + 1;
    used += digits(r.lo) + 1 + (r.hi != r.lo ? digits(r.hi) + 1 : 0);
    if (used > octets && out->n) return true;
    if (!lm_seqset_add(out, r.lo, r.hi)) return false;
  }
  return true;
}

/* set:part(after, octets, messages) -> text of the numbers above `after`, at most so long and of at
** most so many messages (but one at least); the last of them. Nothing where none is left. */
static int part(lua_State *L) {
  struct uidset *u = self(L), *out;
  lua_Number after = luaL_checknumber(L, 2);
  uint64_t octets = (uint64_t)luaL_checknumber(L, 3);
  uint64_t messages = (uint64_t)luaL_checknumber(L, 4);
  if (!(after >= 0 && after < 4294967295.0)) return 0;
  out = fresh(L);
  tidy(u); /* that may have collected, and a finalizer added to it */
  if (!take_part(u, (uint32_t)after + 1, octets, messages ? messages : 1, &out->set)) {
    return no_memory(L);
  }
  if (out->set.n == 0) return 0;
  push_text(L, out);
  lm_push_u64(L, out->set.p[out->set.n - 1].hi);
  return 2;
}

/* --- algebra ----------------------------------------------------------------------------------------- */

static int combine(lua_State *L, bool (*fn)(const struct lm_seqset *, const struct lm_seqset *,
                                            struct lm_seqset *)) {
  struct uidset *a = self(L), *b = other(L, 2), *out = fresh(L);
  tidy(a), tidy(b); /* that may have collected, and a finalizer added to them */
  return fn(&a->set, &b->set, &out->set) ? 1 : no_memory(L);
}

static int union_of(lua_State *L) {
  return combine(L, lm_seqset_union);
}

static int intersection(lua_State *L) {
  return combine(L, lm_seqset_intersection);
}

static int difference(lua_State *L) {
  return combine(L, lm_seqset_difference);
}

static int release(lua_State *L) {
  struct uidset *u = lm_checkself(L);
  lm_seqset_free(&u->set);
  return 0;
}

/* --- numbers in their order ---------------------------------------------------------------------------- */

/* seqset_list(text, most) -> array of all numbers in the order of the text, each range rising; nil where
** it is no set, has "*" in it, or holds more than `most`. For sorted results (RFC 5267 §3.2). */
static int seqset_list(lua_State *L) {
  struct lm_str in = lm_checkstr(L, 1), rest = in;
  lua_Number most = luaL_checknumber(L, 2);
  struct lm_range r;
  uint64_t total = 0, n;
  bool bad = in.n == 0;
  int k = 0;
  while (!bad && lm_seqset_next(&rest, &r, &bad)) {
    if (r.lo == LM_SEQ_STAR || r.hi == LM_SEQ_STAR) return 0;
    total += (r.lo < r.hi ? r.hi - r.lo : r.lo - r.hi) + (uint64_t)1;
    if ((lua_Number)total > most) return 0;
  }
  if (bad) return 0;
  lua_createtable(L, (int)total, 0);
  while (lm_seqset_next(&in, &r, &bad)) {
    uint32_t hi = r.lo < r.hi ? r.hi : r.lo;
    for (n = r.lo < r.hi ? r.lo : r.hi; n <= hi; n++) {
      lm_push_u64(L, n);
      lua_rawseti(L, -2, ++k);
    }
  }
  return 1;
}

/* --- open ------------------------------------------------------------------------------------------------ */

static const luaL_Reg methods[] = {
    {"add", add},
    {"count", count},
    {"spans", spans},
    {"span", span},
    {"has", has},
    {"at", at},
    {"list", list},
    {"text", text},
    {"part", part},
    {"union", union_of},
    {"intersection", intersection},
    {"difference", difference},
    {NULL, NULL},
};

static const luaL_Reg meta[] = {{"__gc", release}, {NULL, NULL}};

void lm_open_uidset(lua_State *L) {
  lm_newclass(L, "uidset_class", "mail.imap.uidset", methods, meta);
  lua_getfield(L, -1, "uidset_class");
  lua_pushcclosure(L, uidset, 1);
  lua_setfield(L, -2, "uidset");
  lua_pushcfunction(L, seqset_list);
  lua_setfield(L, -2, "seqset_list");
}
