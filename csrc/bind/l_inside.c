/*
** l_inside.c: files that lie in the content of one part: winmail.dat, and uuencode in text.
**
** Arguments: the message and the part's index from 1 on.
*/
#include "bind/message.h"
#include "bind/push_mime.h"
#include "mime/content.h"
#include "mime/tnef.h"
#include "mime/uu_find.h"

/* --- winmail.dat ------------------------------------------------------------------------------------ */

static void set_text(lua_State *L, const char *field, struct lm_str s) {
  if (s.n == 0) return;
  lm_pushstr(L, s);
  lua_setfield(L, -2, field);
}

/* tnef(i) -> {subject=, body=, html=, rtf=, broken=, {name=, type=, cid=, data=}...}; nil where it is none */
static int tnef(lua_State *L) {
  struct lm_message *m = lm_checkmessage(L);
  const struct lm_part *part = lm_checkpart(L, m);
  const struct lm_tnef_file *f;
  struct lm_scratch *s = lm_take_scratch(L);
  struct lm_tnef t;
  size_t defects;
  struct lm_str bytes = lm_message_decoded(L, s, m, part, &defects);
  int n = 0;
  if (!lm_tnef_is(bytes)) return lm_give(&s->shared, 0);
  if (!lm_tnef_read(&s->arena, bytes, &t)) return lm_no_memory(L);
  lua_newtable(L);
  set_text(L, "subject", t.subject);
  set_text(L, "body", t.body);
  set_text(L, "html", t.html);
  set_text(L, "rtf", t.rtf);
  lua_pushboolean(L, t.broken);
  lua_setfield(L, -2, "broken");
  for (f = t.first; f; f = f->next) {
    lua_createtable(L, 0, 4);
    set_text(L, "name", f->name);
    set_text(L, "type", f->type);
    set_text(L, "cid", f->cid);
    lm_pushstr(L, f->data);
    lua_setfield(L, -2, "data");
    lua_rawseti(L, -2, ++n);
  }
  return lm_give(&s->shared, 1);
}

/* --- uuencode --------------------------------------------------------------------------------------- */

static void push_file(lua_State *L, struct lm_scratch *s, const struct lm_uu_file *file) {
  struct lm_str name, data;
  size_t defects;
  if (!lm_charset_guess(&s->arena, lm_trimmed(file->name), &name)) lm_no_memory(L);
  if (!lm_content_decode(LM_TRANSFER_UU, file->text, &s->flowed, &data, &defects)) lm_no_memory(L);
  lua_createtable(L, 0, 2);
  set_text(L, "name", name);
  lm_pushstr(L, data);
  lua_setfield(L, -2, "data");
}

/* uuencoded(i) -> array of {name=, data=}; nil where the content holds none */
static int uuencoded(lua_State *L) {
  struct lm_message *m = lm_checkmessage(L);
  const struct lm_part *part = lm_checkpart(L, m);
  struct lm_uu_file file;
  struct lm_scratch *s = lm_take_scratch(L);
  size_t defects, at = 0;
  struct lm_str text = lm_message_decoded(L, s, m, part, &defects);
  int n = 0;
  while (n < LM_UU_FILES && lm_uu_next(text, &at, &file)) {
    if (n == 0) lua_newtable(L);
    push_file(L, s, &file);
    lua_rawseti(L, -2, ++n);
  }
  return lm_give(&s->shared, n > 0);
}

const luaL_Reg lm_inside_methods[] = {{"tnef", tnef}, {"uuencoded", uuencoded}, {NULL, NULL}};
