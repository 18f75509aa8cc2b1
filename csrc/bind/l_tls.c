/*
** l_tls.c: TLS contexts and resumable sessions as userdata, and the TLS methods of every session.
**
** core.tls_context{...} takes the options of struct lm_tls_options by their names; policy (defaults,
** caches) is lua/mail/tls.lua.
*/
#include "bind/l_tls.h"

#include <string.h>

#include "bind/bind.h"
#include "bind/open.h"
#include "tls/tls.h"

static char context_key; /* their addresses mark the metatables */
static char session_key; /* ... and finds its own in the registry */

/* A userdata whose metatable is marked with `key`, as what it holds; an argument error else. */
static void *checkmarked(lua_State *L, int i, const void *key, const char *what) {
  void **u = lua_touserdata(L, i);
  int marked = 0;
  if (u && lua_getmetatable(L, i)) {
    lua_rawgetp(L, -1, key);
    marked = lua_toboolean(L, -1);
    lua_pop(L, 2);
  }
  if (!marked) luaL_argerror(L, i, lua_pushfstring(L, "%s expected", what));
  if (*u == NULL) luaL_argerror(L, i, lua_pushfstring(L, "%s is freed", what));
  return *u;
}

/* --- contexts -------------------------------------------------------------------------------- */

/* It stays on the stack: a finalizer may change the table. */
static struct lm_str string_field(lua_State *L, const char *name) {
  struct lm_str s = LM_NOSTR;
  lua_getfield(L, 1, name);
  if (lua_type(L, -1) == LUA_TSTRING) {
    s.p = lua_tolstring(L, -1, &s.n);
  } else if (!lua_isnil(L, -1)) {
    luaL_error(L, "tls_context: option '%s' must be a string", name);
  }
  return s;
}

static bool flag_field(lua_State *L, const char *name, bool otherwise) {
  bool set = otherwise;
  lua_getfield(L, 1, name);
  if (lua_isboolean(L, -1)) {
    set = lua_toboolean(L, -1);
  } else if (!lua_isnil(L, -1)) {
    luaL_error(L, "tls_context: option '%s' must be a boolean", name);
  }
  lua_pop(L, 1);
  return set;
}

/* pin_sha256: a string, or an array of them. They stay on the stack, too. */
static size_t pins_field(lua_State *L, struct lm_str *pins) {
  size_t n = 0, i;
  int at = lua_gettop(L) + 1;
  lua_getfield(L, 1, "pin_sha256");
  if (lua_type(L, -1) == LUA_TSTRING) {
    pins[0].p = lua_tolstring(L, -1, &pins[0].n);
    n = 1;
  } else if (lua_istable(L, -1)) {
    n = lua_rawlen(L, -1);
    if (n > LM_TLS_PINS) luaL_error(L, "tls_context: at most %d pins", (int)LM_TLS_PINS);
    for (i = 0; i < n; i++) {
      lua_rawgeti(L, at, (int)i + 1);
      if (lua_type(L, -1) != LUA_TSTRING) luaL_error(L, "tls_context: a pin is a string");
      pins[i].p = lua_tolstring(L, -1, &pins[i].n);
    }
  } else if (!lua_isnil(L, -1)) {
    luaL_error(L, "tls_context: option 'pin_sha256' must be a string or a table");
  }
  return n;
}

static void check_names(lua_State *L) {
  static const char *const known[] = {"server",  "verify",     "ca_file", "ca_path",
                                      "cert",    "key",        "alpn",    "min_version",
                                      "ciphers", "pin_sha256", "in_steps"};
  size_t i;
  for (lua_pushnil(L); lua_next(L, 1); lua_pop(L, 1)) {
    const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
    for (i = 0; i < sizeof known / sizeof *known; i++) {
      if (strcmp(name, known[i]) == 0) break;
    }
    if (i == sizeof known / sizeof *known) {
      luaL_error(L, "tls_context: unknown option '%s'", name);
    }
  }
}

static void check_options(lua_State *L, struct lm_tls_options *o, struct lm_str *pins) {
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checkstack(L, LM_TLS_PINS + 20, "options");
  check_names(L);
  memset(o, 0, sizeof *o);
  o->server = flag_field(L, "server", false);
  o->verify = flag_field(L, "verify", !o->server);
  o->in_steps = flag_field(L, "in_steps", false);
  o->ca_file = string_field(L, "ca_file");
  o->ca_path = string_field(L, "ca_path");
  o->cert = string_field(L, "cert");
  o->key = string_field(L, "key");
  o->min_version = string_field(L, "min_version");
  o->ciphers = string_field(L, "ciphers");
  o->alpn = string_field(L, "alpn");
  o->pins = pins;
  o->pins_n = pins_field(L, pins);
}

/* core.tls_context{ server=, verify=, ca_file=, ca_path=, cert=, key=, min_version=, ciphers=,
** alpn=, pin_sha256=, in_steps= } -> context | nil, message */
static int new_context(lua_State *L) {
  struct lm_str pins[LM_TLS_PINS];
  struct lm_tls_options o;
  struct lm_buf *why;
  struct lm_tls_context **u;
  lua_settop(L, 1);
  check_options(L, &o, pins);
  why = lm_newbuffer(L);
  u = lm_newobject(L, sizeof *u, lua_upvalueindex(1));
  if ((*u = lm_tls_context_new(&o, why)) != NULL) return 1;
  lua_pushnil(L);
  lm_pushstr(L, lm_buf_len(why) ? lm_buf_str(why) : LM_STR("out of memory"));
  return 2;
}

/* step() -> true where the context is ready, false where more is to be read | nil, message */
static int context_step(lua_State *L) {
  struct lm_tls_context **u = lm_checkself(L);
  struct lm_buf *why;
  enum lm_tls_step step;
  if (*u == NULL) return luaL_error(L, "TLS context is freed");
  why = lm_newbuffer(L);
  step = lm_tls_context_step(*u, why);
  if (step != LM_TLS_REFUSED) {
    lua_pushboolean(L, step == LM_TLS_READY);
    return 1;
  }
  lua_pushnil(L);
  lm_pushstr(L, lm_buf_len(why) ? lm_buf_str(why) : LM_STR("out of memory"));
  return 2;
}

static int context_gc(lua_State *L) {
  struct lm_tls_context **u = lm_checkself(L);
  lm_tls_context_free(*u);
  *u = NULL;
  return 0;
}

static int session_gc(lua_State *L) {
  struct lm_tls_session **u = lm_checkself(L);
  lm_tls_session_free(*u);
  *u = NULL;
  return 0;
}

/* --- methods of every session ----------------------------------------------------------------- */

int lm_box_start_tls(lua_State *L) {
  struct lm_box *b = lm_boxself(L);
  struct lm_tls_context *c = checkmarked(L, 2, &context_key, "TLS context");
  struct lm_str name = lm_optboxstr(L, 3);
  struct lm_tls_session *resume = NULL;
  const char *refusal;
  struct lm_filter *f;
  if (!lua_isnoneornil(L, 4)) resume = checkmarked(L, 4, &session_key, "TLS session");
  f = lm_tls_new(c, name, resume, &refusal);
  if (f == NULL || !lm_link_insert(&b->link, f)) {
    lua_pushnil(L);
    lua_pushstring(L, f ? "bytes stood in front of the TLS handshake" : refusal);
    return 2;
  }
  b->type->secured(b->session);
  lm_link_turn(&b->link);
  lua_pushboolean(L, 1);
  return 1;
}

static const struct lm_filter *tls_of(lua_State *L) {
  return lm_tls_find(&lm_boxself(L)->link);
}

static void set_field(lua_State *L, const char *name, struct lm_str value) {
  if (value.n == 0) return;
  lm_pushstr(L, value);
  lua_setfield(L, -2, name);
}

int lm_box_tls_info(lua_State *L) {
  struct lm_box *b = lm_boxself(L);
  const struct lm_filter *f = lm_tls_find(&b->link);
  struct lm_tls_info info;
  struct lm_buf *pem;
  if (f == NULL || !lm_tls_info(f, &info)) return 0;
  lm_box_hold(L, b, lm_box_tls_info);
  pem = lm_newbuffer(L);
  if (!lm_tls_peer_pem(f, pem)) return luaL_error(L, "out of memory");
  lua_newtable(L);
  lua_pushstring(L, info.version);
  lua_setfield(L, -2, "version");
  lua_pushstring(L, info.cipher);
  lua_setfield(L, -2, "cipher");
  lua_pushboolean(L, info.resumed);
  lua_setfield(L, -2, "resumed");
  set_field(L, "alpn", info.alpn);
  set_field(L, "peer_certificate", lm_buf_str(pem));
  lm_buf_free(pem);
  return lm_box_let_go(L, b, 1);
}

int lm_box_tls_session(lua_State *L) {
  const struct lm_filter *f;
  struct lm_tls_session **u;
  /* A state that is being closed runs finalizers, but never collects what they make. */
  if (lm_is_finalizing(L) || lm_box_unused(L) == NULL) return 0;
  if ((f = tls_of(L)) == NULL) return 0;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &session_key);
  u = lm_newobject(L, sizeof *u, -1);
  f = tls_of(L); /* that may have collected, and a finalizer freed the session */
  return f && (*u = lm_tls_session(f)) != NULL;
}

int lm_box_tls_why(lua_State *L) {
  struct lm_box *b = lm_boxself(L);
  const struct lm_filter *f = lm_tls_find(&b->link);
  if (f == NULL || lm_tls_why(f).n == 0) return 0;
  lm_box_hold(L, b, lm_box_tls_why);
  lm_pushstr(L, lm_tls_why(f));
  return lm_box_let_go(L, b, 1);
}

int lm_box_tls_close(lua_State *L) {
  struct lm_box *b = lm_box_unused(L);
  struct lm_filter *f = b ? lm_tls_find(&b->link) : NULL;
  bool idle;
  if (f == NULL || !lm_tls_is_open(f)) return 0;
  idle = lm_wire_output(b->link.wire).n == 0 && lm_wire_output(lm_link_outer(&b->link)).n == 0;
  lm_tls_close(f);
  lm_link_turn(&b->link);
  lua_pushboolean(L, idle);
  return 1;
}

int lm_box_tls_binding(lua_State *L) {
  static const char *const names[] = {"tls-exporter", "tls-server-end-point", NULL};
  int which = luaL_checkoption(L, 2, NULL, names);
  const struct lm_filter *f = tls_of(L);
  unsigned char bytes[LM_TLS_BINDING_MAX];
  size_t n = 0;
  if (f) n = which == 0 ? lm_tls_exporter(f, bytes) : lm_tls_server_end_point(f, bytes);
  if (n == 0) return 0;
  lua_pushlstring(L, (const char *)bytes, n);
  return 1;
}

/* --- opening --------------------------------------------------------------------------------- */

static const luaL_Reg no_methods[] = {{NULL, NULL}};
static const luaL_Reg context_methods[] = {{"step", context_step}, {NULL, NULL}};
static const luaL_Reg context_meta[] = {{"__gc", context_gc}, {NULL, NULL}};
static const luaL_Reg session_meta[] = {{"__gc", session_gc}, {NULL, NULL}};
static const luaL_Reg functions[] = {{"tls_context", new_context}, {NULL, NULL}};

/* Makes a class, marked by `key` and found under it in the registry; its metatable is pushed. */
static void open_marked(lua_State *L, const char *field, const char *name, const luaL_Reg *methods,
                        const luaL_Reg *meta, const void *key) {
  lm_newclass(L, field, name, methods, meta);
  lua_getfield(L, -1, field);
  lua_pushboolean(L, 1);
  lua_rawsetp(L, -2, key);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, key);
}

void lm_open_tls(lua_State *L) {
  open_marked(L, "tls_session_class", "mail.tls_session", no_methods, session_meta, &session_key);
  lua_pop(L, 1);
  open_marked(L, "tls_context_class", "mail.tls_context", context_methods, context_meta,
              &context_key);
  luaL_setfuncs(L, functions, 1);
}
