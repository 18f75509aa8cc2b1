/*
** uu_find.c: files in uuencode that stand in text.
*/
#include "mime/uu_find.h"

#include "base/chars.h"
#include "mime/scan.h"

/* The line at *at without its end; *at is moved behind it. */
static struct lm_str next_line(struct lm_str text, size_t *at) {
  const char *from = text.p + *at;
  const char *end = text.p + text.n;
  const char *stop = lm_scan_line_end(from, end);
  *at = (size_t)(lm_scan_next_line(stop, end) - text.p);
  return (struct lm_str){from, (size_t)(stop - from)};
}

/* "begin" SP 3*4(octal digit) SP name */
static bool begin_line(struct lm_str line, struct lm_str *name) {
  size_t i = 6;
  if (line.n < 11 || !lm_str_eq((struct lm_str){line.p, 6}, LM_STR("begin "))) return false;
  while (i < line.n && i < 10 && line.p[i] >= '0' && line.p[i] <= '7') i++;
  if (i < 9 || i + 1 >= line.n || line.p[i] != ' ') return false;
  *name = (struct lm_str){line.p + i + 1, line.n - i - 1};
  return true;
}

/* A length, and as many characters as it needs: trailing blanks may have been lost, some mailers add one. */
static bool data_line(struct lm_str line) {
  size_t octets, need, i;
  if (line.n == 0 || line.n > 63) return false;
  for (i = 0; i < line.n; i++) {
    if (line.p[i] < ' ' || line.p[i] > '`') return false;
  }
  octets = ((unsigned char)line.p[0] - 32u) & 63;
  need = (octets + 2) / 3 * 4;
  return line.n - 1 <= need + 2 && line.n + 3 >= need;
}

static bool is_end(struct lm_str line) {
  return line.n >= 3 && lm_str_eq((struct lm_str){line.p, 3}, LM_STR("end")) &&
         (line.n == 3 || lm_is(line.p[3], LM_SPACE));
}

/* Lines of data from *at on, which is moved behind them; how many they are. */
static size_t data_lines(struct lm_str text, size_t *at) {
  size_t next = *at, lines = 0;
  while (next < text.n) {
    struct lm_str line = next_line(text, &next);
    if (is_end(line)) {
      *at = next;
      break;
    }
    if (!data_line(line)) break;
    *at = next;
    lines++;
  }
  return lines;
}

bool lm_uu_next(struct lm_str text, size_t *at, struct lm_uu_file *out) {
  while (*at < text.n) {
    const char *from = text.p + *at;
    if (!begin_line(next_line(text, at), &out->name)) continue;
    if (data_lines(text, at) == 0) continue;
    out->text = (struct lm_str){from, (size_t)(text.p + *at - from)};
    return true;
  }
  return false;
}
