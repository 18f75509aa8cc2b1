-- A small HTTP client over the library's own loop: in a task it waits as a task, else it blocks.
local fd = require "mail.io.fd"
local loop = require "mail.loop"

local http = {}

local host = fd.complete(loop.native)

local function read_all(conn, deadline)
  local parts = {}
  while true do
    local bytes, why = conn:recv()
    if bytes then
      parts[#parts + 1] = bytes
    elseif why == "again" then
      local ok, late = host.wait(conn:fd(), "r", deadline - loop.now())
      if not ok then return nil, late end
    else
      return table.concat(parts)
    end
  end
end

local function send(conn, path, options)
  local body = options.body
  assert(conn:send(("%s %s HTTP/1.0\r\nHost: localhost\r\n%s\r\n%s"):format(
    options.method or body and "POST" or "GET", path, body and ("Content-Type: %s\r\nContent-Length: %d\r\n"):format(
      options.type or "application/x-www-form-urlencoded", #body) or "", body or "")))
end

--- A request whose client goes away when `wait` returns.
function http.abandon(port, path, wait, options)
  local conn = assert(host.connect("127.0.0.1", port, {}, loop.now() + 20))
  send(conn, path, options or {})
  wait()
  host.close(conn)
end

--- One request on a connection of its own; `options`: method, body, type, timeout (20).
-- Returns the status and the body, or nil and why.
function http.request(port, path, options)
  options = options or {}
  local deadline = loop.now() + (options.timeout or 20)
  local conn, err = host.connect("127.0.0.1", port, {}, deadline)
  if not conn then return nil, tostring(err) end
  send(conn, path, options)
  local text, why = read_all(conn, deadline)
  host.close(conn)
  if not text then return nil, why end
  local status, content = text:match "^HTTP/1%.%d (%d+).-\r\n\r\n(.*)$"
  return tonumber(status), content or text
end

return http
