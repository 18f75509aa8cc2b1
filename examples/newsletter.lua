--- Sends one letter to many, each a message of its own, through a pool of connections, signed with DKIM.
package.path = (arg[0]:match "^(.*)[/\\]" or ".") .. "/?.lua;" .. package.path
local mail = require "mail"
local support = require "support"
local try = support.try

local o = support.options([[
usage: newsletter.lua [options] TEMPLATE LIST

TEMPLATE is a letter: From, Subject and other header lines, an empty line, text. {{name}} and {{address}} in its
subject and its text stand for the recipient. LIST holds a recipient a line: an address, or Name <address>; empty
lines and lines with # in front are passed over.
  --html FILE        the same letter in HTML; what stands for a recipient is escaped in it
  --unsubscribe URL  where one leaves the list with one click; {{address}} in it stands for the recipient
  --parallel N       connections at the same time; default: 4
  --rate N           messages a second, all connections together; default: as fast as the server takes them
  --dkim-domain NAME
  --dkim-selector NAME
  --dkim-key FILE    sign with this key (PEM)
  --dry-run          write the first message to stdout, and send none
ACCOUNT
Exit status: 0 all were accepted, 1 none was, 3 some were not; 2 wrong usage.
]], 2)

local function read(path)
  local file = support.open(path, "rb")
  local text = file:read "*a"
  file:close()
  return text
end

-- The letter's own fields, as `mail.message.new` takes them, and its text.
local function read_template(path)
  local letter = mail.message.parse(read(path))
  local fields = { headers = {} }
  local own = { from = true, subject = true, ["reply-to"] = true }
  for _, field in ipairs(letter:headers()) do
    local name = field.name:lower()
    if own[name] then
      fields[name:gsub("-", "_")] = field.value
    elseif not name:find "^content%-" and name ~= "mime-version" and name ~= "to" then
      table.insert(fields.headers, { field.name, field.value })
    end
  end
  if not fields.from then support.die(path .. ": the letter has no From") end
  return fields, letter:text() or ""
end

local function read_list(path)
  local list, number = {}, 0
  for line in (read(path) .. "\n"):gmatch "(.-)\r?\n" do
    number = number + 1
    if line:find "%S" and not line:find "^%s*#" then
      local found, err = mail.address.parse(line)
      if not found or #found ~= 1 or not found[1].address then
        support.die(("%s:%d: %s"):format(path, number, err and err.message or "one address expected"), 2)
      end
      list[#list + 1] = found[1]
    end
  end
  return list
end

local ESCAPED = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;" }
local function html(text) return (text:gsub('[&<>"]', ESCAPED)) end
local function url(text) return (text:gsub("[^%w._~-]", function(c) return ("%%%02X"):format(c:byte()) end)) end
local function plain(text) return text end

local function filled(text, to, escape)
  return (text:gsub("{{(%w+)}}", function(word)
    if word == "name" then return escape(to.name or to.address) end
    return word == "address" and escape(to.address) or nil
  end))
end

local function compose(fields, text, page, to)
  local options = { to = { to } }
  for name, value in pairs(fields) do options[name] = value end
  options.subject = filled(fields.subject or "", to, plain)
  options.text = filled(text, to, plain)
  options.html = page and filled(page, to, html)
  if o.unsubscribe then
    options.list = { unsubscribe = filled(o.unsubscribe, to, url), unsubscribe_post = true }
  end
  return mail.message.new(options)
end

local function dkim()
  local key = o["dkim-key"]
  if not key then return nil end
  if not (o["dkim-domain"] and o["dkim-selector"]) then
    support.die("--dkim-key needs --dkim-domain and --dkim-selector; see --help", 2)
  end
  return { domain = o["dkim-domain"], selector = o["dkim-selector"], key = try(mail.dkim.key(read(key))) }
end

-- Composes, signs and sends one; true, or nil, err.
local function send(pool, signer, message, err)
  if not message then return nil, err end
  local envelope, source = message:envelope(), message
  if signer then
    source, err = mail.dkim.signed(message, signer)
    if not source then return nil, err end
  end
  return pool:send { from = envelope.from, to = envelope.to, message = source }
end

support.main(function()
  if not o[2] then support.die("which letter, and to whom? see --help", 2) end
  local parallel, rate = support.number(o, "parallel", 1, 4), support.number(o, "rate", 1)
  local signer, fields, text = dkim(), read_template(o[1])
  local page, list = o.html and read(o.html), read_list(o[2])
  if o["dry-run"] then
    local first = list[1] or support.die(o[2] .. ": nobody is on the list")
    support.say("%s", (try(try(compose(fields, text, page, first)):tostring()):gsub("\r\n$", "")))
    return 0
  end
  local account = support.account(o)
  account.size, account.rate = parallel, rate
  local pool = mail.smtp.pool(account)
  local at, sent = 0, 0
  local function worker()
    while at < #list do
      at = at + 1
      local to = list[at]
      local ok, err = send(pool, signer, compose(fields, text, page, to))
      if ok then
        sent = sent + 1
        support.say("accepted  %s", to.address)
      else
        io.stderr:write(("failed    %s  %s\n"):format(to.address, support.clean(tostring(err))))
      end
    end
  end
  mail.loop.run(function()
    local tasks = {}
    for i = 1, parallel do tasks[i] = mail.loop.spawn(worker) end
    for _, task in ipairs(tasks) do task:join() end
    pool:close()
  end)
  support.say("%d of %d were accepted", sent, #list)
  return sent == #list and 0 or sent == 0 and 1 or 3
end)
