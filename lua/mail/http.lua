--- One HTTP/1.1 request (RFC 9112) over the library's own TLS and loops: what a token endpoint needs.
--
-- No client for the web: one request a connection, no redirects (a token must not follow one), no cookies, no
-- compression. What the server says is bounded. A body is whole or an error.
-- @module mail.http

local ascii = require "mail.ascii"
local Err = require "mail.err"
local Pump = require "mail.pump"
local connect = require "mail.connect"
local core = require "mail.core"
local loop = require "mail.loop"
local tls = require "mail.tls"
local want = require "mail.want"

local http = {}

local OPTIONS = {
  url = "string", method = "string?", headers = "table?", body = "string?", timeout = "number?", ssl = "table?",
  loop = "any", proxy = "any", most = "number?", dns_servers = "string?",
}

-- Octets of the status line and the header; of the body, unless told; of a chunk's line.
local HEAD, BODY, LINE = 65536, 1048576, 4096

local PORTS = { http = 80, https = 443 }

local protocol = { name = "http" }

function protocol.new_session()
  return core.stream_session()
end

function protocol.greet()
  return true
end

-- --- the request --------------------------------------------------------------------------------------

--- The parts of a URL: `{ scheme=, host=, port=, target= }`; nil where it is none of http(s). A user's name in
-- it is refused.
function http.parse_url(url)
  local scheme, authority, target = url:match "^([A-Za-z]+)://([^/?#]+)([^#%s%z\1-\31\127]*)$"
  scheme = scheme and ascii.lower(scheme)
  if not PORTS[scheme] or authority:find "[@%s%z\1-\31\127]" then return nil end
  local host, port = authority:match "^%[([%x:.]+)%]:?(%d*)$"
  if not host then host, port = authority:match "^([A-Za-z0-9._-]+):?(%d*)$" end
  if not host then return nil end
  if target:sub(1, 1) ~= "/" then target = "/" .. target end
  return { scheme = scheme, host = host, port = tonumber(port) or PORTS[scheme], target = target,
    authority = authority }
end

local function request_text(place, o)
  local lines = { ("%s %s HTTP/1.1"):format(o.method or (o.body and "POST" or "GET"), place.target),
    "Host: " .. place.authority, "User-Agent: lua-mail", "Accept: application/json", "Connection: close" }
  for name, value in pairs(o.headers or {}) do
    if not tostring(name):find "^[A-Za-z0-9-]+$" or tostring(value):find "[%z\1-\31\127]" then
      error("http.request: a header cannot hold that", 3)
    end
    lines[#lines + 1] = name .. ": " .. value
  end
  if o.body then lines[#lines + 1] = "Content-Length: " .. ("%d"):format(#o.body) end
  return table.concat(lines, "\r\n") .. "\r\n\r\n" .. (o.body or "")
end

-- --- the answer: octets are asked for as they are needed ----------------------------------------------

local Reader = {}
Reader.__index = Reader

-- Errors leave by `error`, so that the grammar below reads as such; `receive` catches them.
local function broken(kind, message)
  error(Err.new { kind = kind, message = message, protocol = "http" }, 0)
end

-- More octets; false at the end of the stream.
function Reader:more()
  if self.ended then return false end
  local kind, a = self.wait()
  if not kind then error(a, 0) end
  if kind == "end" then
    self.ended, self.cut = true, a
    return false
  end
  self.held = self.held .. a
  return true
end

function Reader:need(n)
  while #self.held < n do
    if not self:more() then broken("closed", "the answer is cut off") end
  end
  local text = self.held:sub(1, n)
  self.held = self.held:sub(n + 1)
  return text
end

function Reader:line(most)
  local from = 1
  while true do
    local stop = self.held:find("\n", from, true)
    if (stop or #self.held) > most then broken("limit", "a line of the answer is too long") end
    if stop then
      local line = self.held:sub(1, stop - 1):gsub("\r$", "")
      self.held = self.held:sub(stop + 1)
      return line
    end
    from = #self.held + 1
    if not self:more() then broken("closed", "the answer is cut off") end
  end
end

-- Status and header: number, table by names in lower case.
local function read_head(reader)
  local status = reader:line(LINE):match "^HTTP/1%.[01] (%d%d%d)"
  if not status then broken("protocol", "the answer is no HTTP/1.1") end
  local headers, octets = {}, 0
  while true do
    local line = reader:line(HEAD)
    octets = octets + #line
    if octets > HEAD then broken("limit", "the header of the answer is too long") end
    if line == "" then return tonumber(status), headers end
    local name, value = line:match "^([^%s:%z\1-\31\127]+):%s*(.-)%s*$"
    if not name then broken("protocol", "a header line without a name") end
    name = ascii.lower(name)
    if name == "content-length" and headers[name] and headers[name] ~= value then
      broken("protocol", "two lengths")
    end
    headers[name] = headers[name] and name ~= "content-length" and headers[name] .. ", " .. value or value
  end
end

local function read_chunks(reader, most)
  local parts, octets = {}, 0
  while true do
    local hex = reader:line(LINE):match "^(%x+)%s*;?"
    if not hex or #hex > 8 then broken("protocol", "a chunk without a size") end
    local n = tonumber(hex, 16)
    octets = octets + n
    if octets > most then broken("limit", "the answer is too long") end
    if n == 0 then break end
    parts[#parts + 1] = reader:need(n)
    if reader:line(2) ~= "" then broken("protocol", "a chunk that is longer than its size") end
  end
  for _ = 1, 100 do -- trailers
    if reader:line(LINE) == "" then return table.concat(parts) end
  end
  broken("limit", "too many trailers")
end

local function read_rest(reader, most)
  repeat
    if #reader.held > most then broken("limit", "the answer is too long") end
  until not reader:more()
  if reader.cut then broken("closed", "the answer is cut off") end
  return reader.held
end

local function read_body(reader, status, headers, most)
  if status == 204 or status == 304 then return "" end
  local length, coding = headers["content-length"], headers["transfer-encoding"]
  if coding then
    local sound = not length and ascii.lower(coding) == "chunked"
    if not sound then broken("protocol", "a body of two lengths, or an unknown coding") end
    return read_chunks(reader, most)
  end
  if not length then return read_rest(reader, most) end
  if not length:find "^%d+$" then broken("protocol", "a length that is no number") end
  if #length > 10 or tonumber(length) > most then broken("limit", "the answer is too long") end
  return reader:need(tonumber(length))
end

-- The whole answer. Interim ones (1xx) are passed over.
local function read_answer(reader, most)
  for _ = 1, 10 do
    local status, headers = read_head(reader)
    if status >= 200 then
      return { status = status, headers = headers, body = read_body(reader, status, headers, most) }
    end
  end
  broken("protocol", "nothing but interim answers")
end

--- An answer out of pieces; for a host that reads by itself, and for specs.
-- @tparam function wait() → "data", octets; "end", cut; or nil, err
-- @tparam[opt] number most octets of the body
-- @treturn table `{status=, headers=, body=}`; or nil, err
function http.read(wait, most)
  local reader = setmetatable({ held = "", wait = wait }, Reader)
  -- The reading runs in a coroutine of its own: PUC Lua 5.1 cannot wait inside pcall.
  local co = coroutine.create(read_answer)
  reader.wait = coroutine.yield
  local ok, answer = coroutine.resume(co, reader, most or BODY)
  while coroutine.status(co) ~= "dead" do ok, answer = coroutine.resume(co, wait()) end
  if ok then return answer end
  if Err.is(answer) then return nil, answer end
  error(answer, 0)
end

-- --- the call -------------------------------------------------------------------------------------------

--- Sends one request and reads the answer, whatever its status.
-- @tparam table options `url` (http or https), `method`, `headers`, `body`, `timeout` = 30 for everything, `ssl` as of
--   `connect`, `loop`, `proxy`; `most`: octets of the body (1 MiB)
-- @treturn table `{status=, headers= (by names in lower case), body=}`; or nil, err
function http.request(options)
  want(options, OPTIONS, "http.request")
  local place = http.parse_url(options.url)
  if not place then error("http.request: option 'url' must be a URL of http or https", 2) end
  if options.ssl then tls.check(options.ssl, "http.request", 2) end
  local text = request_text(place, options)
  local host = options.loop and loop.adapter(options.loop, 2) or loop.host()
  local seconds = options.timeout or 30
  local deadline = host.now() + seconds
  local session, err = connect.open(protocol, {
    host = place.host, port = place.port, tls = place.scheme == "https" and "implicit" or "none", ssl = options.ssl,
    timeout = seconds, loop = host, proxy = options.proxy, dns_servers = options.dns_servers,
  })
  if not session then return nil, err end
  local pump = Pump.of(session)
  session:write(text)
  local answer
  answer, err = http.read(function() return pump:wait(1, deadline) end, options.most)
  pump:close()
  return answer, err
end

return http
