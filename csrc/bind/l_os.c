/*
** l_os.c: the poller, connections, listeners and the clock for Lua.
**
** A connection ("conn") moves bytes between its socket and a session's link in C; what to wait for,
** and how, is decided in Lua (lua/mail/io).
*/
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "bind/bind.h"
#include "bind/open.h"
#include "os/net.h"
#include "os/poll.h"

static int push_errno(lua_State *L, int code) {
  lua_pushnil(L);
  lua_pushstring(L, strerror(code));
  return 2;
}

/* Rounded up, so that a wait never ends early. */
static int milliseconds(lua_Number seconds) {
  if (!(seconds > 0)) return 0;
  return seconds > 2000000 ? 2000000000 : (int)(seconds * 1000 + 0.999);
}

/* Seconds (nil: for ever) at `i` as milliseconds. */
static int checkms(lua_State *L, int i) {
  return lua_isnoneornil(L, i) ? -1 : milliseconds(luaL_checknumber(L, i));
}

static unsigned checkwant(lua_State *L, int i) {
  const char *s = luaL_checkstring(L, i);
  unsigned want = (strchr(s, 'r') ? LM_POLL_READ : 0u) | (strchr(s, 'w') ? LM_POLL_WRITE : 0u);
  luaL_argcheck(L, want, i, "'r', 'w' or 'rw' expected");
  return want;
}

/* --- poller ---------------------------------------------------------------------------------- */

/* Raises where it is closed: a state that is being closed collects in an order of its own, and other
** finalizers still run. */
static struct lm_poll *poller(lua_State *L) {
  struct lm_poll *p = *(struct lm_poll **)lm_checkself(L);
  if (p == NULL) luaL_error(L, "the poller is closed");
  return p;
}

/* core.poller() -> poller */
static int newpoller(lua_State *L) {
  struct lm_poll **p = lm_newobject(L, sizeof *p, lua_upvalueindex(1));
  if ((*p = lm_poll_new()) == NULL) return luaL_error(L, "no poller: %s", strerror(errno));
  return 1;
}

/* park(fd, want) -> true where it is ready already, false where it is parked | nil, message */
static int park(lua_State *L) {
  struct lm_poll *p = poller(L);
  enum lm_parked got = lm_poll_park(p, (int)luaL_checkinteger(L, 2), checkwant(L, 3));
  if (got == LM_POLL_REFUSED) return push_errno(L, errno);
  lua_pushboolean(L, got == LM_POLL_READY);
  return 1;
}

static int unpark(lua_State *L) {
  struct lm_poll *p = *(struct lm_poll **)lm_checkself(L);
  if (p) lm_poll_unpark(p, (int)luaL_checkinteger(L, 2));
  return 0;
}

static int forget(lua_State *L) {
  struct lm_poll *p = *(struct lm_poll **)lm_checkself(L);
  if (p) lm_poll_forget(p, (int)luaL_checkinteger(L, 2));
  return 0;
}

/* wait(time | nil, list) -> n, now: the ready descriptors in list[1..n]. Waits until that time, of core.now;
** 0: not at all; nil: for ever. */
static int wait(lua_State *L) {
  struct lm_poll *p = poller(L);
  lua_Number until = luaL_optnumber(L, 2, -1);
  int n, i, used = 0;
  luaL_checktype(L, 3, LUA_TTABLE);
  n = lm_poll_wait(p, until < 0 ? -1 : until > 0 ? milliseconds(until - lm_now()) : 0);
  if (n < 0) return luaL_error(L, "poller: %s", strerror(errno));
  for (i = 0; i < n; i++) {
    int fd = lm_poll_take(p, i);
    if (fd < 0) continue;
    lua_pushinteger(L, fd);
    lua_rawseti(L, 3, ++used);
  }
  lua_pushinteger(L, used);
  lua_pushnumber(L, lm_now());
  return 2;
}

/* fd() -> the descriptor that is readable while wait() has something to report | nil: this system
** has none */
static int poller_fd(lua_State *L) {
  int fd = lm_poll_fd(poller(L));
  if (fd < 0) return 0;
  lua_pushinteger(L, fd);
  return 1;
}

static int poller_gc(lua_State *L) {
  struct lm_poll **p = lm_checkself(L);
  lm_poll_free(*p);
  *p = NULL;
  return 0;
}

/* --- the process that opens connections -------------------------------------------------------- */

static char home_key; /* its address is where a state keeps its home */

static int home_gc(lua_State *L) {
  struct lm_home **h = lm_checkself(L);
  lm_home_drop(*h);
  *h = NULL;
  return 0;
}

/* This state's home: a new one in a child. */
static struct lm_home *home(lua_State *L) {
  struct lm_home **h;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &home_key);
  h = lua_touserdata(L, -1);
  lua_pop(L, 1); /* the registry keeps it */
  if (*h && lm_home_is_here(*h)) return *h;
  lm_home_drop(*h);
  if ((*h = lm_home_new()) == NULL) luaL_error(L, "out of memory");
  return *h;
}

/* --- conn ------------------------------------------------------------------------------------ */

struct conn {
  struct lm_net net;    /* first: most need no more */
  const void *sessions; /* the class of the last session it met, which is kept as the user value */
};

static struct lm_net *conn(lua_State *L) {
  return lm_checkself(L);
}

/* A new one without a socket; metatable in upvalue 1. */
static struct lm_net *push_conn(lua_State *L) {
  struct conn *c = lm_newobject(L, sizeof *c, lua_upvalueindex(1));
  return &c->net;
}

/* The session at 2. A conn moves the octets of one session, so that its class is nearly always the one that
** was met last; what is compared cannot be the address of another one, for that one is kept. */
static struct lm_box *checksession(lua_State *L, struct lm_net *n) {
  struct conn *c = (struct conn *)(void *)n;
  struct lm_box *b = lua_touserdata(L, 2);
  if (b && lua_getmetatable(L, 2)) {
    const void *class = lua_topointer(L, -1);
    lua_pop(L, 1);
    if (class == c->sessions && b->session && !b->holder) return b;
  }
  b = lm_checkbox(L, 2);
  lua_getmetatable(L, 2);
  c->sessions = lua_topointer(L, -1);
  lua_setuservalue(L, 1);
  return b;
}

/* core.conn(fd) -> conn: takes over a connected, non-blocking descriptor */
static int newconn(lua_State *L) {
  int fd = (int)luaL_checkinteger(L, 1);
  struct lm_home *here = home(L);
  struct lm_net *n = push_conn(L);
  lm_net_init(n, fd, here);
  return 1;
}

/* True where the caller's time is over (`until`, of core.now; 0: it has no end), unless this is the
** first move since it let others run: each turn gets on. */
static bool must_rest(struct lm_net *n, lua_Number until) {
  bool over = until > 0 && !n->rested && lm_now() >= until;
  n->brief = until > 0;
  n->rested = over;
  return over;
}

/* What `next` says all the time is made once: these are its upvalues, behind the class. */
enum word { NO_WORD, WAIT = 2, READ, READWRITE, PAUSE, ENDED, FOREIGN };

static const char *const words[] = {"wait", "r", "rw", "pause", "end", "foreign"};

/* next(session [, until]) -> the session's next event, or "wait" and what for: "r", "rw" with the descriptor;
** "pause" (let others run), or "end" (nothing will come, and the session does not mind). Sends and reads as
** far as that goes without waiting, and, but for one short move, without passing the time `until`. */
static int conn_next(lua_State *L) {
  struct lm_net *n = conn(L);
  struct lm_box *b = checksession(L, n);
  lua_Number until = lua_tonumber(L, 3);
  enum word what = NO_WORD;
  if (n->fd < 0) return luaL_error(L, "connection is closed");
  if (must_rest(n, until)) what = PAUSE;
  while (what == NO_WORD) {
    int values = 0;
    enum lm_status status = lm_box_next(L, b, conn_next, &values);
    if (status == LM_EVENT) return values;
    if (status == LM_FAIL) {
      lua_pushliteral(L, "fail");
      return 1;
    }
    switch (lm_net_turn(n, &b->link)) {
    case LM_NET_READ: what = READ; break;
    case LM_NET_READWRITE: what = READWRITE; break;
    case LM_NET_PAUSE: what = PAUSE; break;
    case LM_NET_ENDED: what = ENDED; break;
    case LM_NET_FOREIGN: what = FOREIGN; break;
    default:
      if (must_rest(n, until)) what = PAUSE;
    }
  }
  lua_pushvalue(L, lua_upvalueindex(WAIT));
  lua_pushvalue(L, lua_upvalueindex((int)what));
  if (what != READ && what != READWRITE) return 2;
  lua_pushinteger(L, n->fd);
  return 3;
}

/* flush(session [, brief]) -> true where nothing is left to send */
static int flush(lua_State *L) {
  struct lm_net *n = conn(L);
  struct lm_box *b = checksession(L, n);
  n->brief = lua_toboolean(L, 3);
  lua_pushboolean(L, n->fd < 0 || lm_net_flush(n, &b->link));
  return 1;
}

/* recv([max]) -> bytes | nil, "again" | "closed" | message */
static int conn_recv(lua_State *L) {
  struct lm_net *n = conn(L);
  char buffer[16384];
  long got = lm_net_read(n->fd, buffer, sizeof buffer);
  if (got > 0) {
    lua_pushlstring(L, buffer, (size_t)got);
    return 1;
  }
  if (got < 0 && errno != EAGAIN) return push_errno(L, errno);
  lua_pushnil(L);
  lua_pushstring(L, got == 0 ? "closed" : "again");
  return 2;
}

/* send(bytes, from) -> count | nil, "again" | message */
static int conn_send(lua_State *L) {
  struct lm_net *n = conn(L);
  struct lm_str s = lm_checkstr(L, 2);
  lua_Integer from = luaL_optinteger(L, 3, 1);
  long sent;
  luaL_argcheck(L, from >= 1 && (size_t)from <= s.n + 1, 3, "position in the string expected");
  sent = lm_net_write(n->fd, s.p + from - 1, s.n - (size_t)from + 1);
  if (sent < 0 && errno != EAGAIN) return push_errno(L, errno);
  if (sent < 0) {
    lua_pushnil(L);
    lua_pushliteral(L, "again");
    return 2;
  }
  lua_pushinteger(L, (lua_Integer)sent);
  return 1;
}

/* fd() -> number | nil once closed */
static int conn_fd(lua_State *L) {
  struct lm_net *n = conn(L);
  if (n->fd < 0) return 0;
  lua_pushinteger(L, n->fd);
  return 1;
}

/* why() -> message | nil: the system's words for what ended the stream */
static int conn_why(lua_State *L) {
  struct lm_net *n = conn(L);
  if (n->error == 0) return 0;
  lua_pushstring(L, strerror(n->error));
  return 1;
}

/* name([peer]) -> address, port | nil, message */
static int conn_name(lua_State *L) {
  struct lm_net *n = conn(L);
  char address[64];
  unsigned port;
  if (!lm_net_name(n->fd, lua_toboolean(L, 2), address, sizeof address, &port)) {
    return push_errno(L, errno);
  }
  lua_pushstring(L, address);
  lua_pushinteger(L, (lua_Integer)port);
  return 2;
}

/* octets() -> received, sent */
static int conn_octets(lua_State *L) {
  struct lm_net *n = conn(L);
  lm_push_u64(L, n->received);
  lm_push_u64(L, n->sent);
  return 2;
}

/* close(): the descriptor must have been forgotten by its poller. Idempotent; also __gc. */
static int conn_close(lua_State *L) {
  lm_net_close(conn(L));
  return 0;
}

/* --- functions ------------------------------------------------------------------------------- */

/* core.now() -> seconds, monotonic */
static int now(lua_State *L) {
  lua_pushnumber(L, lm_now());
  return 1;
}

/* core.poll_one(fd, want, seconds | nil) -> true | false on timeout | nil, message */
static int poll_one(lua_State *L) {
  int n = lm_poll_one((int)luaL_checkinteger(L, 1), checkwant(L, 2), checkms(L, 3));
  if (n < 0) return push_errno(L, errno);
  lua_pushboolean(L, n > 0);
  return 1;
}

/* core.listen(address, port [, backlog]) -> conn | nil, message */
static int os_listen(lua_State *L) {
  const char *address = luaL_checkstring(L, 1), *port = luaL_checkstring(L, 2);
  int backlog = (int)luaL_optinteger(L, 3, 128);
  struct lm_net *n = push_conn(L);
  lm_net_init(n, lm_net_listen(address, port, backlog), NULL);
  return n->fd < 0 ? push_errno(L, errno) : 1;
}

/* core.accept(conn) -> conn | nil, "again" | message */
static int os_accept(lua_State *L) {
  struct lm_net *listener = lm_checkself(L), *n = push_conn(L);
  int fd = lm_net_accept(listener->fd), code = errno;
  lm_net_init(n, fd, NULL);
  if (fd < 0) {
    lua_pushnil(L);
    lua_pushstring(L, code == EAGAIN ? "again" : strerror(code));
    return 2;
  }
  return 1;
}

/* core.hostname() -> this host's name | nil */
static int hostname(lua_State *L) {
  char name[256];
  if (!lm_net_hostname(name, sizeof name)) return 0;
  lua_pushstring(L, name);
  return 1;
}

/* core.random(n) -> n octets from the system's generator, at most 64 */
static int os_random(lua_State *L) {
  unsigned char octets[64];
  lua_Integer n = luaL_checkinteger(L, 1);
  luaL_argcheck(L, n > 0 && n <= (lua_Integer)sizeof octets, 1, "1 to 64 expected");
  if (!lm_random(octets, (size_t)n)) return luaL_error(L, "no random octets");
  lua_pushlstring(L, (const char *)octets, (size_t)n);
  return 1;
}

/* core.ignore_sigpipe(): unless the program has chosen something for that signal */
static int ignore_sigpipe(lua_State *L) {
  (void)L;
  lm_net_ignore_sigpipe();
  return 0;
}

static const luaL_Reg poller_methods[] = {{"park", park}, {"unpark", unpark}, {"forget", forget},
                                          {"wait", wait}, {"fd", poller_fd},  {NULL, NULL}};
static const luaL_Reg poller_meta[] = {{"__gc", poller_gc}, {NULL, NULL}};
static const luaL_Reg conn_methods[] = {
    {"flush", flush},      {"recv", conn_recv}, {"send", conn_send},     {"fd", conn_fd},
    {"why", conn_why},     {"name", conn_name}, {"octets", conn_octets}, {"accept", os_accept},
    {"close", conn_close}, {NULL, NULL}};
static const luaL_Reg conn_meta[] = {{"__gc", conn_close}, {NULL, NULL}};
static const luaL_Reg poller_functions[] = {{"poller", newpoller}, {NULL, NULL}};
static const luaL_Reg conn_functions[] = {{"conn", newconn}, {"listen", os_listen}, {NULL, NULL}};
static const luaL_Reg functions[] = {{"now", now},
                                     {"poll_one", poll_one},
                                     {"hostname", hostname},
                                     {"random", os_random},
                                     {"ignore_sigpipe", ignore_sigpipe},
                                     {NULL, NULL}};

/* Functions that make objects of a class have its metatable as their upvalue. */
static void open_class(lua_State *L, const char *field, const luaL_Reg *makers) {
  lua_getfield(L, -1, field);
  luaL_setfuncs(L, makers, 1);
}

/* Adds the one method that has more than its class with it. */
static void add_next(lua_State *L) {
  enum { COUNT = sizeof words / sizeof *words };
  int i;
  lua_getfield(L, -1, "conn_class");
  lua_getfield(L, -1, "__index");
  lua_pushvalue(L, -2);
  for (i = 0; i < COUNT; i++) lua_pushstring(L, words[i]);
  lua_pushcclosure(L, conn_next, 1 + COUNT);
  lua_setfield(L, -2, "next");
  lua_pop(L, 2);
}

static const luaL_Reg no_methods[] = {{NULL, NULL}};
static const luaL_Reg home_meta[] = {{"__gc", home_gc}, {NULL, NULL}};

static void open_home(lua_State *L) {
  lm_newclass(L, "home_class", "mail.home", no_methods, home_meta);
  lua_getfield(L, -1, "home_class");
  lm_newobject(L, sizeof(struct lm_home *), -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &home_key);
  lua_pop(L, 1);
}

void lm_open_os(lua_State *L) {
  open_home(L);
  lm_newclass(L, "poller_class", "mail.poller", poller_methods, poller_meta);
  open_class(L, "poller_class", poller_functions);
  lm_newclass(L, "conn_class", "mail.conn", conn_methods, conn_meta);
  add_next(L);
  open_class(L, "conn_class", conn_functions);
  luaL_setfuncs(L, functions, 0);
}
