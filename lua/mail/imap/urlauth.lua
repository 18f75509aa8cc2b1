--- URLs that others may follow, and what stands behind them: URLAUTH (RFC 4467), URLAUTH=BINARY (RFC
-- 5524); and where the account is found by JMAP (RFC 9698).
-- @module mail.imap.urlauth

local ascii = require "mail.ascii"
local run = require "mail.imap.run"
local url = require "mail.imap.url"

local unpack = table.unpack or unpack -- luacheck: ignore

-- Methods of the session.
local urlauth = {}

local function is_text(value) return type(value) == "string" and value ~= "" end

-- The URL that answers a command, in data of the command's name (of GETJMAPACCESS: JMAPACCESS); or nil, err.
local function asked(pump, options, verb, ...)
  local data, address = verb:gsub("^GETJMAP", "JMAP"), nil
  local ok, err = run.call(pump, options, function(name, _, value)
    if name == data and type(value) == "table" then address = value[1] end
  end, verb, ...)
  if not ok then return nil, err end
  if type(address) == "string" then return address end
  return nil, pump:error("protocol", "the server gave no URL", { command = verb })
end

-- --- GENURLAUTH -------------------------------------------------------------------------------------

local RUMP = {
  user = is_text, host = is_text, mailbox = is_text, uid = function(v) return type(v) == "number" end,
}

-- The URL without its token: text as it stands, or made of its parts. Raises at the caller of the method.
local function rump(what)
  if is_text(what) then return what end
  if type(what) ~= "table" then error("imap:genurlauth: a URL or a table expected, got " .. type(what), 3) end
  for name, fits in pairs(RUMP) do
    if not fits(what[name]) then error("imap:genurlauth: field '" .. name .. "' is missing", 3) end
  end
  local text = "imap://" .. url.encode(what.user) .. "@" .. what.host .. url.of(what)
  if what.expire then text = text .. ";EXPIRE=" .. what.expire end
  return text .. ";URLAUTH=" .. (what.access or "anonymous")
end

local GENURLAUTH = { mechanism = "string?", timeout = "number|table?", progress = "function?" }

--- Makes a URL that opens a message or a part to others (RFC 4467 §7).
-- @param what a URL that ends in ";URLAUTH=" and an access ("anonymous", "authuser", "user+ann",
--   "submit+ann"); or a table: `user` and `host` as the server knows them, `mailbox`, `uid`, and perhaps
--   `uidvalidity`, `section`, `expire` (RFC 3339 time), `access` ("anonymous")
-- @tparam[opt] table options `mechanism` ("INTERNAL"), `timeout`
-- @treturn string the URL; or nil, err
function urlauth:genurlauth(what, options)
  local text = rump(what)
  run.options(options, "genurlauth", GENURLAUTH)
  local pump = run.pump(self, "genurlauth")
  local err = run.lacking(pump, "URLAUTH", "GENURLAUTH")
  if err then return nil, err end
  return asked(pump, options, "GENURLAUTH", "astring", text, "text", options and options.mechanism or "INTERNAL")
end

--- Makes all URLs worthless that were made so far (RFC 4467 §7).
-- @tparam[opt] string mailbox only those of this one
-- @tparam[opt] table options `mechanism`: only those of this one; `timeout`
-- @treturn boolean true; or nil, err
function urlauth:resetkey(mailbox, options)
  if mailbox ~= nil then run.text(mailbox, "resetkey", "a mailbox") end
  run.options(options, "resetkey", GENURLAUTH)
  if options and options.mechanism and not mailbox then
    error("imap:resetkey: a mechanism wants a mailbox", 2)
  end
  local pump = run.pump(self, "resetkey")
  local err = run.lacking(pump, "URLAUTH", "RESETKEY")
  if err then return nil, err end
  local arguments = {}
  if mailbox then arguments = { "mailbox", mailbox } end
  if options and options.mechanism then arguments[3], arguments[4] = "text", options.mechanism end
  local ok
  ok, err = run.call(pump, options, nil, "RESETKEY", unpack(arguments))
  if ok then return true end
  return nil, err
end

-- --- URLFETCH ---------------------------------------------------------------------------------------

local URLFETCH = { binary = "boolean?", timeout = "number|table?", progress = "function?" }

-- Takes one answer: "url" content …, or "url" (ITEM content) … of RFC 5524.
local function take(found, value)
  local i = 1
  while value[i] ~= nil do
    local address = value[i]
    local content = value[i + 1]
    i = i + 2
    if type(content) == "table" then
      while type(content) == "table" do
        if ascii.upper(tostring(content[1])) ~= "BODYPARTSTRUCTURE" then found[address] = content[2] end
        content, i = value[i], i + 1
      end
      i = i - 1
    else
      found[address] = content
    end
  end
end

local function url_arguments(urls, binary)
  local arguments = {}
  local function put(kind, value)
    arguments[#arguments + 1] = kind
    arguments[#arguments + 1] = value
  end
  for _, one in ipairs(urls) do
    if binary then put("open", true) end
    put("astring", one)
    if binary then
      put("text", "BINARY")
      put("close", true)
    end
  end
  return arguments
end

--- Gets what stands behind URLs (RFC 4467 §7). Contents are held in memory: limit `literal`.
-- @tparam string|table urls one, or an array
-- @tparam[opt] table options `binary`: transfer encodings undone by the server (RFC 5524); `timeout`
-- @return the octets, or false where the server gives none; of an array a table by URL; or nil, err
function urlauth:urlfetch(urls, options)
  local list = type(urls) == "table" and urls or { urls }
  for _, one in ipairs(list) do
    if not is_text(one) then error("imap:urlfetch: a URL must be a string, got " .. type(one), 2) end
  end
  if #list == 0 then error("imap:urlfetch: a URL or an array of URLs expected, got " .. type(urls), 2) end
  run.options(options, "urlfetch", URLFETCH)
  local pump = run.pump(self, "urlfetch")
  local binary = options and options.binary
  local err = run.lacking(pump, binary and "URLAUTH=BINARY" or "URLAUTH", "URLFETCH")
  if err then return nil, err end
  local found = {}
  local ok
  ok, err = run.call(pump, options, function(name, _, value)
    if name == "URLFETCH" and type(value) == "table" then take(found, value) end
  end, "URLFETCH", unpack(url_arguments(list, binary)))
  if not ok then return nil, err end
  if type(urls) == "table" then return found end
  return found[urls] or false
end

-- --- JMAP -------------------------------------------------------------------------------------------

--- Where the same account is found by JMAP (RFC 9698).
-- @tparam[opt] table options `timeout`
-- @treturn string the URL of its session resource; or nil, err
function urlauth:getjmapaccess(options)
  run.options(options, "getjmapaccess")
  local pump = run.pump(self, "getjmapaccess")
  local err = run.lacking(pump, "JMAPACCESS", "GETJMAPACCESS")
  if err then return nil, err end
  return asked(pump, options, "GETJMAPACCESS")
end

return urlauth
