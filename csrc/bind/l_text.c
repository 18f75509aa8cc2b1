/*
** l_text.c: texts for people: HTML as text, format=flowed, the beginning of a text on one line; and
** the letters of ASCII in one case, which no locale of the host has a say in.
**
** Plain functions over whole strings. The buffer that they share is scratch memory of their class
** (upvalue 1): an error raised halfway leaks nothing.
*/
#include "bind/bind.h"
#include "bind/open.h"
#include "mime/flowed.h"
#include "mime/html.h"

#include <string.h>

struct scratch {
  struct lm_shared shared;
  struct lm_buf buf;
};

static int scratch_gc(lua_State *L) {
  struct scratch *s = lm_checkself(L);
  lm_buf_free(&s->buf);
  return 0;
}

static int done(struct scratch *s) {
  lm_buf_free(&s->buf); /* texts may be large, and are rare */
  return lm_give(&s->shared, 1);
}

static int push_made(lua_State *L, struct scratch *s, bool ok) {
  if (!ok) return luaL_error(L, "out of memory");
  lm_pushstr(L, lm_buf_str(&s->buf));
  return done(s);
}

static size_t optlimit(lua_State *L, int i) {
  lua_Number n = luaL_optnumber(L, i, 0);
  luaL_argcheck(L, n >= 0 && n < 4e9, i, "a size expected");
  return n > 0 ? (size_t)n : SIZE_MAX;
}

/* html_text(html in UTF-8, show links, limit in octets or nil) -> text in LF lines */
static int html_text(lua_State *L) {
  struct lm_str html = lm_checkstr(L, 1);
  struct scratch *s;
  struct lm_html h;
  lm_html_init(&h, lua_toboolean(L, 2), optlimit(L, 3));
  s = lm_take(L);
  return push_made(L, s, lm_html_put(&h, &s->buf, html) && lm_html_end(&h, &s->buf));
}

/* flow(text) -> format=flowed in CRLF lines */
static int flow(lua_State *L) {
  struct lm_str text = lm_checkstr(L, 1);
  struct scratch *s = lm_take(L);
  return push_made(L, s, lm_flowed_write(text, &s->buf));
}

/* unflow(flowed text, delsp) -> text in LF lines, one a paragraph */
static int unflow(lua_State *L) {
  struct lm_str text = lm_checkstr(L, 1);
  bool delsp = lua_toboolean(L, 2);
  struct scratch *s = lm_take(L);
  return push_made(L, s, lm_flowed_read(text, delsp, &s->buf));
}

/* preview(text, characters) -> its beginning on one line */
static int preview(lua_State *L) {
  struct lm_str text = lm_checkstr(L, 1);
  size_t limit = optlimit(L, 2);
  struct scratch *s = lm_take(L);
  return push_made(L, s, lm_preview(text, limit, &s->buf));
}

/* --- letters ---------------------------------------------------------------------------------- */

/* Whether it is among the 26 letters from `first` on. */
static inline bool among(char c, char first) {
  return (unsigned char)(c - first) < 26;
}

/* The text with the letters from `first` on in the other case; the very same string where there are
** none. Names are short: those need no memory but the string's own. */
static int in_case(lua_State *L, char first) {
  struct lm_str text = lm_checkstr(L, 1);
  char name[128], *made = name;
  struct scratch *s = NULL;
  size_t i = 0;
  while (i < text.n && !among(text.p[i], first)) i++;
  if (i == text.n) return lua_settop(L, 1), 1;
  if (text.n > sizeof name) {
    s = lm_take(L);
    made = lm_buf_room(&s->buf, text.n);
    if (made == NULL) return luaL_error(L, "out of memory");
  }
  memcpy(made, text.p, i);
  for (; i < text.n; i++) {
    made[i] = among(text.p[i], first) ? (char)(text.p[i] ^ 32) : text.p[i];
  }
  lua_pushlstring(L, made, text.n);
  return s ? done(s) : 1;
}

/* lower(text) -> with A to Z as a to z; upper(text) -> the other way. All other octets stay. */
static int lower(lua_State *L) {
  return in_case(L, 'A');
}
static int upper(lua_State *L) {
  return in_case(L, 'a');
}

static const luaL_Reg no_methods[] = {{NULL, NULL}};
static const luaL_Reg scratch_meta[] = {{"__gc", scratch_gc}, {NULL, NULL}};
static const luaL_Reg functions[] = {
    {"html_text", html_text}, {"flow", flow},   {"unflow", unflow}, {"preview", preview},
    {"lower", lower},         {"upper", upper}, {NULL, NULL}};

void lm_open_text(lua_State *L) {
  lm_newclass(L, "text_class", "mail.text", no_methods, scratch_meta);
  lua_getfield(L, -1, "text_class");
  lm_share(L, sizeof(struct scratch), -1);
  luaL_setfuncs(L, functions, 1);
}
