/*
** l_pop3list.c: class "mail.pop3.listing": LIST and UIDL of a maildrop side by side (RFC 1939 §5, §7),
** and the RETRs that are sent before their messages are asked for; core.pop3_listing.
**
** A maildrop may hold a million messages: one is 32 octets here and its unique id, and nothing that the
** collector has to visit. What a window may hold is decided here too, since it is looked at for each
** message.
** Invariant: behind the message that the user is at, those up to `asked` are in flight, and no other
** has an id.
*/
#include <stdlib.h>
#include <string.h>

#include "bind/bind.h"
#include "bind/l_pop3.h"
#include "bind/open.h"

struct entry {
  uint64_t size;
  const char *uid; /* in the string that the listing keeps */
  uint32_t uid_n;  /* 0 where it has none */
  uint32_t number;
  uint32_t id; /* of the RETR in flight; 0 for none */
  bool has_size;
};

struct listing {
  size_t n;
  size_t asked; /* the last that a RETR was sent for ahead, from 1; 0 for none */
  struct entry entry[];
};

/* A line of UIDL. */
struct unique {
  struct lm_str uid;
  uint32_t number;
  uint32_t line;
};

static struct listing *self(lua_State *L) {
  return lm_checkself(L);
}

static size_t count_lines(struct lm_str list) {
  size_t n = 0;
  struct lm_str line;
  while (lm_pop3_next_line(&list, &line)) n++;
  return n;
}

/* --- UIDL --------------------------------------------------------------------------------------- */

static int by_number(const void *a, const void *b) {
  const struct unique *x = a, *y = b;
  if (x->number != y->number) return x->number < y->number ? -1 : 1;
  return x->line < y->line ? -1 : x->line > y->line;
}

/* The lines that name a message, by number; of one number the last line counts, and stands last. */
static size_t read_uniques(struct lm_str list, struct unique *u) {
  size_t n = 0;
  bool sorted = true;
  struct lm_str line;
  struct lm_pop3_item item;
  while (lm_pop3_next_line(&list, &line)) {
    if (!lm_pop3_unique(line, &item)) continue;
    if (n && u[n - 1].number >= item.number) sorted = false;
    u[n] = (struct unique){item.uid, item.number, (uint32_t)n};
    n++;
  }
  if (!sorted) qsort(u, n, sizeof *u, by_number);
  return n;
}

/* How many of the `n` have a number up to this. */
static size_t up_to(const struct unique *u, size_t n, uint32_t number) {
  size_t low = 0;
  while (low < n) {
    size_t middle = low + (n - low) / 2;
    if (u[middle].number <= number) {
      low = middle + 1;
    } else {
      n = middle;
    }
  }
  return low;
}

/* Nearly always the next entry's id stands in the next line. */
static void join(struct listing *l, const struct unique *u, size_t n) {
  size_t i, next = 0;
  for (i = 0; i < l->n; i++) {
    struct entry *e = &l->entry[i];
    bool here = next < n && u[next].number == e->number &&
                (next + 1 == n || u[next + 1].number != e->number);
    if (!here) next = up_to(u, n, e->number) - 1; /* none: wraps, and is no place */
    if (next >= n || u[next].number != e->number) {
      next = 0;
      continue;
    }
    e->uid = u[next].uid.p;
    e->uid_n = (uint32_t)u[next].uid.n;
    next++;
  }
}

/* --- a listing ---------------------------------------------------------------------------------- */

static void read_entries(struct listing *l, struct lm_str list) {
  struct lm_str line;
  struct lm_pop3_item item;
  while (lm_pop3_next_line(&list, &line)) {
    if (!lm_pop3_scan(line, &item) || item.number == 0) continue;
    l->entry[l->n].number = item.number;
    l->entry[l->n].size = item.size;
    l->entry[l->n].has_size = item.has_size;
    l->n++;
  }
}

/* pop3_listing(list [, uidl]) -> listing: of the lines that the two commands were answered with */
static int pop3_listing(lua_State *L) {
  struct lm_str list = lm_checkstr(L, 1), uidl = lm_optstr(L, 2);
  struct listing *l;
  struct unique *u;
  lua_settop(L, 2);
  l = lm_newobject(L, sizeof *l + count_lines(list) * sizeof l->entry[0], lua_upvalueindex(1));
  read_entries(l, list);
  if (uidl.n == 0) return 1;
  lm_keepvalue(L, 2);
  u = lua_newuserdatauv(L, (count_lines(uidl) + 1) * sizeof *u, 0);
  join(l, u, read_uniques(uidl, u));
  lua_settop(L, 3);
  return 1;
}

/* count() -> number of messages */
static int count(lua_State *L) {
  lm_push_u64(L, self(L)->n);
  return 1;
}

/* The place of a message: argument 2; 0 where there is none. */
static size_t checkplace(lua_State *L, const struct listing *l) {
  lua_Integer i = luaL_checkinteger(L, 2);
  return i >= 1 && (uint64_t)i <= l->n ? (size_t)i : 0;
}

/* item(i) -> number, size | nil, uid | nil, id of the RETR in flight | nil; nothing behind the last */
static int item(lua_State *L) {
  const struct listing *l = self(L);
  size_t i = checkplace(L, l);
  const struct entry *e;
  if (i == 0) return 0;
  e = &l->entry[i - 1];
  lm_push_u64(L, e->number);
  if (e->has_size) {
    lm_push_u64(L, e->size);
  } else {
    lua_pushnil(L);
  }
  if (e->uid_n) {
    lua_pushlstring(L, e->uid, e->uid_n);
  } else {
    lua_pushnil(L);
  }
  if (e->id == 0) return 3;
  lua_pushinteger(L, (lua_Integer)e->id);
  return 4;
}

/* only({ i, ... }): from now on these are all the messages; rising. Before any is asked for. */
static int only(lua_State *L) {
  struct listing *l = self(L);
  size_t n, k, last = 0;
  luaL_checktype(L, 2, LUA_TTABLE);
  n = lua_rawlen(L, 2);
  for (k = 0; k < n; k++) {
    lua_Integer i;
    lua_rawgeti(L, 2, (int)k + 1);
    i = lua_tointeger(L, -1);
    lua_pop(L, 1);
    luaL_argcheck(L, i > (lua_Integer)last && (uint64_t)i <= l->n, 2, "rising places expected");
    last = (size_t)i;
    l->entry[k] = l->entry[last - 1];
  }
  l->n = n;
  return 0;
}

/* --- asking ahead ------------------------------------------------------------------------------- */

struct window {
  size_t count;
  uint64_t bytes;
};

/* What is in flight behind place `at`. */
static struct window in_flight(const struct listing *l, size_t at) {
  struct window w = {0, 0};
  size_t i;
  for (i = at; i < l->asked; i++) {
    w.count++;
    w.bytes += l->entry[i].size;
  }
  return w;
}

static void send_ahead(struct listing *l, struct lm_pop3c *s, size_t at, struct window most) {
  struct window w;
  if (l->asked < at) l->asked = at;
  w = in_flight(l, at);
  while (w.count < most.count && l->asked < l->n) {
    struct entry *e = &l->entry[l->asked];
    if (!e->has_size || e->size > most.bytes || w.bytes + e->size > most.bytes) return;
    e->id = lm_pop3c_retr(s, e->number, LM_POP3_BARE);
    if (e->id == 0) return;
    w.count++;
    w.bytes += e->size;
    l->asked++;
  }
}

/* The first place at which half of the window is empty, so that commands travel in bunches. */
static size_t half_empty(const struct listing *l, size_t at, struct window most) {
  struct window w = {0, 0};
  size_t i = l->asked;
  for (; i > at; i--) {
    w.count++;
    w.bytes += l->entry[i - 1].size;
    if (w.count * 2 > most.count || w.bytes * 2 > most.bytes) return i;
  }
  return i;
}

/* ask(session, at, count, bytes) -> place at which to ask again: sends RETR for what follows place `at`,
** so that no more messages, and no more bytes by their sizes, are in flight. One without a size, or too
** large, is left to its own command. */
static int ask(lua_State *L) {
  struct listing *l = self(L);
  struct lm_pop3c *s = lm_checkpop3c(L, 2);
  size_t at = (size_t)luaL_checkinteger(L, 3);
  struct window most;
  most.count = (size_t)luaL_checkinteger(L, 4);
  most.bytes = (uint64_t)luaL_checkinteger(L, 5);
  if (at > l->n) at = l->n;
  send_ahead(l, s, at, most);
  lua_pushinteger(L, (lua_Integer)half_empty(l, at, most));
  return 1;
}

static const luaL_Reg methods[] = {
    {"count", count}, {"item", item}, {"only", only}, {"ask", ask}, {NULL, NULL}};

void lm_open_listing(lua_State *L) {
  lm_newclass(L, "pop3_listing_class", "mail.pop3.listing", methods, NULL);
  lua_getfield(L, -1, "pop3_listing_class");
  lua_pushcclosure(L, pop3_listing, 1);
  lua_setfield(L, -2, "pop3_listing");
}
