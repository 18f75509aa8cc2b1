--- Which mailbox serves what (RFC 6154): told by the server, or guessed from its name in many languages.
-- @module mail.imap.special_use

local ascii = require "mail.ascii"

local special_use = {}

-- Attributes in any case, those of XLIST too, by the standard's spelling.
local SPECIAL = {
  ["\\all"] = "\\All", ["\\archive"] = "\\Archive", ["\\drafts"] = "\\Drafts", ["\\flagged"] = "\\Flagged",
  ["\\junk"] = "\\Junk", ["\\sent"] = "\\Sent", ["\\trash"] = "\\Trash", ["\\important"] = "\\Important",
  ["\\allmail"] = "\\All", ["\\spam"] = "\\Junk", ["\\starred"] = "\\Flagged",
}

-- The narrower use goes first where a mailbox has several.
local ORDER = { "\\Drafts", "\\Sent", "\\Junk", "\\Trash", "\\Archive", "\\Flagged", "\\Important", "\\All" }

--- The use that attributes tell, or nil.
function special_use.of(attributes)
  local found = {}
  for attribute in pairs(attributes or {}) do
    local use = SPECIAL[ascii.lower(attribute)]
    if use then found[use] = true end
  end
  for _, use in ipairs(ORDER) do
    if found[use] then return use end
  end
end

--- True where `use` is an attribute of a special use, `"\\Sent"`: in the standard's spelling; or nil.
function special_use.known(use)
  return type(use) == "string" and SPECIAL[ascii.lower(use)] or nil
end

-- Names as servers, webmails and clients create them. ASCII in lower case; letters beyond it stand as they are,
-- with both forms where a name begins with one.
local NAMES = {
  ["\\Drafts"] = {
    "drafts", "draft", "draft messages", "unsent messages", "entwürfe", "entwuerfe", "entwurf", "brouillons",
    "brouillon", "borradores", "borrador", "bozze", "bozza", "concepten", "concept", "rascunhos", "rascunho",
    "utkast", "kladder", "kladde", "luonnokset", "drög", "szkice", "wersje robocze", "kopie robocze", "koncepty",
    "rozepsané", "rozpísané", "piszkozatok", "vázlatok", "schițe", "schite", "ciorne", "taslaklar", "taslak",
    "πρόχειρα", "Πρόχειρα", "черновики", "Черновики", "чернетки",
    "Чернетки", "чернови", "Чернови", "nacrti", "osnutki", "skice", "melnraksti",
    "juodraščiai", "mustandid", "esborranys", "borradors", "zirriborroak", "bản nháp", "thư nháp", "draf",
    "konsep", "ร่าง", "ฉบับร่าง", "טיוטות", "المسودات", "مسودات",
    "پیش‌نویس‌ها", "ड्राफ़्ट", "草稿", "草稿箱", "草稿匣", "下書き",
    "임시보관함", "임시 보관함",
  },
  ["\\Sent"] = {
    "sent", "sent items", "sent mail", "sent messages", "sent-mail", "sent-items", "sentmail", "outgoing", "gesendet",
    "gesendete elemente", "gesendete objekte", "gesendete nachrichten", "envoyés", "envoyes", "éléments envoyés",
    "Éléments envoyés", "messages envoyés", "courrier envoyé", "objets envoyés", "enviados", "enviado",
    "elementos enviados", "mensajes enviados", "correo enviado", "inviati", "inviata", "posta inviata",
    "elementi inviati", "messaggi inviati", "verzonden", "verzonden items", "verzonden berichten", "itens enviados",
    "mensagens enviadas", "e-mails enviados", "skickat", "skickade", "skickade objekt", "sendt", "sendte",
    "sendt post", "sendte elementer", "lähetetyt", "Lähetetyt", "lähetetyt viestit", "wysłane",
    "elementy wysłane", "odeslané", "odeslaná pošta", "odoslané", "odoslaná pošta", "elküldött",
    "elküldött üzenetek", "elküldött elemek", "trimise", "elemente trimise", "gönderilmiş",
    "gönderilmiş öğeler", "gönderilenler", "gönderilen", "απεσταλμένα", "Απεσταλμένα",
    "отправленные", "Отправленные", "исходящие", "Исходящие",
    "надіслані", "Надіслані", "відправлені", "Відправлені",
    "изпратени", "Изпратени", "poslano", "poslana pošta", "poslato", "nosūtītie", "išsiųsta",
    "išsiųsti laiškai", "saadetud", "enviats", "elements enviats", "bidalitakoak", "đã gửi", "thư đã gửi",
    "terkirim", "item terkirim", "dihantar", "ส่งแล้ว", "รายการที่ส่ง",
    "נשלח", "דואר שנשלח", "פריטים שנשלחו", "المرسلة", "العناصر المرسلة",
    "ارسال شده", "भेजे गए", "已发送", "已发送邮件", "已傳送", "已寄出",
    "寄件備份", "送信済み", "送信済みアイテム", "送信済みメール", "보낸편지함",
    "보낸 편지함", "보낸메일함",
  },
  ["\\Trash"] = {
    "trash", "deleted", "deleted items", "deleted messages", "deleted-items", "bin", "rubbish", "papierkorb",
    "gelöscht", "gelöschte elemente", "gelöschte objekte", "gelöschte nachrichten", "corbeille", "poubelle",
    "éléments supprimés", "Éléments supprimés", "messages supprimés", "papelera", "elementos eliminados",
    "eliminados", "mensajes eliminados", "cestino", "posta eliminata", "elementi eliminati", "prullenbak",
    "prullenmand", "verwijderde items", "verwijderde berichten", "lixo", "lixeira", "itens excluídos",
    "itens eliminados", "papperskorgen", "papperskorg", "borttaget", "borttagna objekt", "papirkurv", "søppel",
    "slettet", "slettede elementer", "slettet post", "roskakori", "poistetut", "poistetut viestit", "kosz",
    "elementy usunięte", "usunięte", "koš", "odstraněná pošta", "odstraněné", "kôš", "odstránené",
    "odstránená pošta", "lomtár", "kuka", "törölt elemek", "törölt üzenetek", "coș de gunoi", "gunoi",
    "elemente șterse", "çöp kutusu", "Çöp kutusu", "çöp", "Çöp", "silinmiş öğeler", "silinenler",
    "κάδος απορριμμάτων", "Κάδος απορριμμάτων", "διαγραμμένα",
    "Διαγραμμένα", "корзина", "Корзина", "удаленные", "Удаленные",
    "удалённые", "Удалённые", "кошик", "Кошик", "видалені", "Видалені",
    "кошче", "Кошче", "изтрити", "Изтрити", "smeće", "koš za smeti", "izbrisano",
    "miskaste", "šiukšliadėžė", "šiukšlinė", "prügikast", "paperera", "zakarrontzia", "thùng rác",
    "tempat sampah", "sampah", "ถังขยะ", "אשפה", "פריטים שנמחקו", "المهملات",
    "العناصر المحذوفة", "سطل زباله", "कचरा", "已删除", "已删除邮件",
    "垃圾桶", "已刪除", "刪除的郵件", "ゴミ箱", "ごみ箱", "削除済みアイテム", "휴지통",
    "지운편지함", "지운 편지함",
  },
  ["\\Junk"] = {
    "junk", "spam", "junk e-mail", "junk email", "junk mail", "bulk mail", "bulk", "unsolicited", "spamverdacht",
    "junk-e-mail", "unerwünscht", "werbung", "courrier indésirable", "indésirables", "pourriel",
    "correo no deseado", "no deseado", "posta indesiderata", "indesiderata", "ongewenste e-mail", "ongewenst",
    "ongewenste reclame", "lixo eletrônico", "lixo eletrónico", "correio electrónico não solicitado",
    "skräppost", "skräp", "uønsket e-post", "uønsket mail", "uønsket", "søppelpost", "roskaposti",
    "wiadomości-śmieci", "wiadomości śmieci", "niechciane", "nevyžádaná pošta", "nevyžádané",
    "nevyžiadaná pošta", "nevyžiadané", "levélszemét", "kéretlen", "nesolicitate", "e-mail nedorit",
    "önemsiz", "Önemsiz", "önemsiz e-posta", "Önemsiz e-posta", "istenmeyen", "ανεπιθύμητα",
    "Ανεπιθύμητα", "ανεπιθύμητη αλληλογραφία",
    "Ανεπιθύμητη αλληλογραφία", "спам", "Спам",
    "нежелательная почта", "Нежелательная почта", "небажана пошта",
    "Небажана пошта", "нежелана поща", "Нежелана поща", "neželjena pošta",
    "neželena pošta", "surogātpasts", "mēstules", "brukalas", "rämpspost", "correu brossa", "thư rác",
    "ขยะ", "อีเมลขยะ", "דואר זבל", "ספאם", "البريد غير الهام",
    "البريد العشوائي", "هرزنامه", "स्पैम", "垃圾邮件", "垃圾郵件",
    "迷惑メール", "迷惑", "스팸", "스팸메일함", "스팸편지함", "정크 메일",
  },
  ["\\Archive"] = {
    "archive", "archives", "archived", "archiv", "archivo", "archivio", "archiviati", "archief", "arquivo",
    "arquivados", "arkiv", "arkisto", "archiwum", "archív", "archívum", "arhivă", "arhiva", "arşiv",
    "αρχείο", "Αρχείο", "αρχειοθήκη", "Αρχειοθήκη", "архив", "Архив",
    "архів", "Архів", "arhīvs", "archyvas", "arhiiv", "arxiu", "artxiboa", "lưu trữ", "arsip", "arkib",
    "เก็บถาวร", "ארכיון", "الأرشيف", "بایگانی", "संग्रह", "存档",
    "归档", "封存", "アーカイブ", "보관", "보관함",
  },
}

local by_name = {}
for use, names in pairs(NAMES) do
  for _, name in ipairs(names) do by_name[name] = use end
end

-- The last word of a path, ASCII in lower case.
local function leaf(name, delimiter)
  if delimiter and delimiter ~= "" then
    local from = 1
    while true do
      local at = name:find(delimiter, from, true)
      if not at then break end
      from = at + #delimiter
    end
    name = name:sub(from)
  end
  return ascii.lower(name)
end

-- How deep a name is: the guess prefers the top.
local function depth(name, delimiter)
  local n, from = 0, 1
  while delimiter and delimiter ~= "" do
    local at = name:find(delimiter, from, true)
    if not at then return n end
    n, from = n + 1, at + #delimiter
  end
  return n
end

--- Guesses from the names, where the server told nothing: each use for one mailbox, that nearest to the top, the
-- first of equals. Sets `special_use` and `guessed`.
function special_use.guess(boxes)
  local best = {}
  for _, box in ipairs(boxes) do
    local use = by_name[leaf(box.name, box.delimiter)]
    local there = not (box.attributes["\\NonExistent"] or box.attributes["\\Noselect"])
    if use and there and ascii.upper(box.name) ~= "INBOX" then
      local deep = depth(box.name, box.delimiter)
      if not best[use] or deep < best[use].deep then best[use] = { box = box, deep = deep } end
    end
  end
  for use, found in pairs(best) do found.box.special_use, found.box.guessed = use, true end
end

return special_use
