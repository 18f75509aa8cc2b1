/*
** l_text.c: texts for people: HTML as text, format=flowed, the beginning of a text on one line; and
** the letters of ASCII in one case, which no locale of the host has a say in.
**
** Plain functions over whole strings. The buffer that they share lives in a userdata (upvalue 1): an
** error raised halfway leaks nothing.
*/
#include "bind/bind.h"
#include "bind/open.h"
#include "mime/flowed.h"
#include "mime/html.h"

#include <string.h>

static int scratch_gc(lua_State *L) {
  lm_buf_free(lm_checkself(L));
  return 0;
}

static struct lm_buf *scratch(lua_State *L) {
  struct lm_buf *b = lua_touserdata(L, lua_upvalueindex(1));
  lm_buf_clear(b);
  return b;
}

/* Pushes what was made, and gives the memory back: texts may be large, and are rare. */
static int push_made(lua_State *L, struct lm_buf *b, bool ok) {
  if (!ok) return luaL_error(L, "out of memory");
  lm_pushstr(L, lm_buf_str(b));
  lm_buf_free(b);
  return 1;
}

static size_t optlimit(lua_State *L, int i) {
  lua_Number n = luaL_optnumber(L, i, 0);
  luaL_argcheck(L, n >= 0 && n < 4e9, i, "a size expected");
  return n > 0 ? (size_t)n : SIZE_MAX;
}

/* html_text(html in UTF-8, show links, limit in octets or nil) -> text in LF lines */
static int html_text(lua_State *L) {
  struct lm_str html = lm_checkstr(L, 1);
  struct lm_buf *b = scratch(L);
  struct lm_html h;
  lm_html_init(&h, lua_toboolean(L, 2), optlimit(L, 3));
  return push_made(L, b, lm_html_put(&h, b, html) && lm_html_end(&h, b));
}

/* flow(text) -> format=flowed in CRLF lines */
static int flow(lua_State *L) {
  struct lm_str text = lm_checkstr(L, 1);
  struct lm_buf *b = scratch(L);
  return push_made(L, b, lm_flowed_write(text, b));
}

/* unflow(flowed text, delsp) -> text in LF lines, one a paragraph */
static int unflow(lua_State *L) {
  struct lm_str text = lm_checkstr(L, 1);
  struct lm_buf *b = scratch(L);
  return push_made(L, b, lm_flowed_read(text, lua_toboolean(L, 2), b));
}

/* preview(text, characters) -> its beginning on one line */
static int preview(lua_State *L) {
  struct lm_str text = lm_checkstr(L, 1);
  struct lm_buf *b = scratch(L);
  return push_made(L, b, lm_preview(text, optlimit(L, 2), b));
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
  struct lm_buf *b = NULL;
  size_t i = 0;
  while (i < text.n && !among(text.p[i], first)) i++;
  if (i == text.n) return lua_settop(L, 1), 1;
  if (text.n > sizeof name) {
    b = scratch(L);
    made = lm_buf_room(b, text.n);
    if (made == NULL) return luaL_error(L, "out of memory");
  }
  memcpy(made, text.p, i);
  for (; i < text.n; i++) {
    made[i] = among(text.p[i], first) ? (char)(text.p[i] ^ 32) : text.p[i];
  }
  lua_pushlstring(L, made, text.n);
  if (b) lm_buf_free(b);
  return 1;
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
  lm_newobject(L, sizeof(struct lm_buf), -1);
  lua_remove(L, -2);
  luaL_setfuncs(L, functions, 1);
}
