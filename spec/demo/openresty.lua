--- make openresty-demo: the site of examples/openresty in a real nginx, before Dovecot and Exim, seen by a real
-- HTTP client (curl where there is one).
--
-- Its nginx.conf and Lua files run as they stand, save for the port, the paths of this tree, and the accounts.
-- `require "spec.demo.openresty" (say)` is the same for a spec: true, or nil and what was wrong.

local Keeper = require "spec.servers.keeper"
local slurp = require "spec.support.files".slurp
local http = require "spec.support.http"
local loop = require "mail.loop"
local mail = require "mail"
local servers = require "spec.servers"

local quote, shell = Keeper.quote, Keeper.shell
local EXAMPLE = Keeper.root .. "/examples/openresty/"

local function read(name) return slurp(EXAMPLE .. name) end

-- One place of the configuration, which must be there once, with another text.
local function replaced(text, old, new)
  local from, to = text:find(old, 1, true)
  assert(from and not text:find(old, to + 1, true), "examples/openresty/nginx.conf has no, or two, of: " .. old)
  return text:sub(1, from - 1) .. new .. text:sub(to + 1)
end

local function configuration()
  local text = read "nginx.conf"
  text = replaced(text, "worker_processes 1;", "daemon off;\nload_module @MODULES/ndk_http_module.so;\n"
    .. "load_module @MODULES/ngx_http_lua_module.so;\nworker_processes 1;")
  text = replaced(text, "pid logs/nginx.pid;", "pid @FOLDER/nginx.pid;")
  text = replaced(text, "error_log logs/error.log warn;", "error_log @FOLDER/error.log warn;")
  text = replaced(text, '"${prefix}?.lua;;";', "'@LUA'; lua_package_cpath '@CLUA';\n  access_log off;\n"
    .. "  client_body_temp_path @FOLDER/temp; proxy_temp_path @FOLDER/temp; fastcgi_temp_path @FOLDER/temp;\n"
    .. "  uwsgi_temp_path @FOLDER/temp; scgi_temp_path @FOLDER/temp;")
  text = replaced(text, "/etc/ssl/certs/ca-certificates.crt", "@CA")
  return replaced(text, "127.0.0.1:8080", "127.0.0.1:@PORT")
end

local function settings(server, user)
  return ([[return {
    smtp = { host = "localhost", port = %d, tls = "implicit", tls_by = "host", user = %q, password = %q },
    imap = { host = "localhost", port = %d, tls = "implicit", user = %q, password = %q, ssl = { ca_file = %q } },
    retry = { 1, 2, 4 }, patience = 0.5, from = "website@example.test", contact = %q, webmaster = %q,
  }]]):format(server.ports.exim_submissions, user.name, user.password, server.ports.imaps, user.name, user.password,
    servers.certificates().ca_file, user.address, user.address)
end

local function site(server, user)
  local files = { ["settings.lua"] = settings(server, user) }
  for _, name in ipairs { "alert", "contact", "inbox", "json", "letter" } do
    files[name .. ".lua"] = read(name .. ".lua")
  end
  return servers.nginx { private = true, main = configuration(), files = files }
end

-- status, body: by curl, else by the small client of the specs. `form`: name → value.
local function fetch(port, path, form)
  local words = {}
  if shell "command -v curl" then
    for name, value in pairs(form or {}) do words[#words + 1] = "--data-urlencode " .. quote(name .. "=" .. value) end
    local _, out = shell(("curl -s -m 30 -w '\\n%%{http_code}' %s http://127.0.0.1:%d%s"):format(
      table.concat(words, " "), port, path))
    local body, status = out:match "^(.*)\n(%d+)$"
    return tonumber(status), body
  end
  for name, value in pairs(form or {}) do
    words[#words + 1] = name .. "=" .. value:gsub("[^%w]", function(c) return ("%%%02X"):format(c:byte()) end)
  end
  return http.request(port, path, { body = form and table.concat(words, "&") })
end

-- Looks again until the answer has it, for 20 s.
local function until_has(port, path, what)
  local give_up = loop.now() + 20
  while true do
    local status, body = fetch(port, path)
    if body and body:find(what, 1, true) then return body end
    if loop.now() > give_up then
      error(("%s has no %s: %s %s"):format(path, what, tostring(status), tostring(body)), 0)
    end
    loop.sleep(0.05)
  end
end

local function expect(port, path, wanted, text, form)
  local status, body = fetch(port, path, form)
  if status == wanted and body:find(text, 1, true) then return body:gsub("%s+$", "") end
  error(("%s: %d with '%s' expected, got %s: %s"):format(path, wanted, text, tostring(status), tostring(body)), 0)
end

local function count(log, what) return select(2, log:gsub(what, "")) end

local function send_and_read(say, server, port)
  local connections = count(server.exim:log(), "SMTP connection from")
  expect(port, "/", 200, '<form method="post"')
  say("GET /          the contact form")
  for i = 1, 3 do
    expect(port, "/contact", 200, "your message was sent", { name = "Änne Müller", email = "anne@example.org",
      message = ("Grüße, Nr. %d\n.\nQUIT\n"):format(i) })
  end
  connections = count(server.exim:log(), "SMTP connection from") - connections
  if connections ~= 1 then error(("three messages took %d connections"):format(connections), 0) end
  say("POST /contact  three messages sent, over one connection that the worker's pool kept")
  local body = expect(port, "/contact", 400, "line break", { name = "Eve\r\nBcc: all@example.org",
    email = "eve@example.org", message = "x" })
  say("POST /contact  a name with a line break in it is refused: %s", body)
  say("GET /latest    the watcher saw them come: %s ...", until_has(port, "/latest", "Contact form"):sub(1, 90))
  local logins = count(server.dovecot:log(), "imap%-login: Login")
  body = until_has(port, "/inbox", '"messages":3')
  for _ = 1, 10 do expect(port, "/inbox", 200, '"unseen":3') end
  say("GET /inbox     %s ...", body:sub(1, 90))
  logins = count(server.dovecot:log(), "imap%-login: Login") - logins
  if logins > 0 then error(("%d logins for eleven requests"):format(logins), 0) end
  say("               eleven requests, all over the worker's one IMAP session")
end

local function reload(say, nginx)
  local old, at = nginx:workers()[1], loop.now()
  assert(nginx:reload())
  while #nginx:workers() ~= 1 or nginx:workers()[1] == old do
    if loop.now() - at > 2 then error("the old worker does not leave", 0) end
    loop.sleep(0.02)
  end
  say("nginx -s reload: the old worker, with a session in IDLE, was gone after %.2f s", loop.now() - at)
end

local function outage(say, server, port)
  server:stop()
  local body = expect(port, "/contact", 202, "will be sent", { name = "Änne Müller", email = "anne@example.org",
    message = "later" })
  say("POST /contact  while the mail servers are down: %s", body)
  expect(port, "/inbox", 502, "the mail server gave no answer")
  say("GET /inbox     meanwhile: 502, and the log phase writes to the webmaster")
  assert(server:start())
  until_has(port, "/inbox", '"messages":5')
  say("GET /inbox     after they came back: the session was opened anew, and both messages have come")
end

local function visit(say, server, nginx)
  local from = loop.now()
  send_and_read(say, server, nginx.ports.http)
  reload(say, nginx)
  outage(say, server, nginx.ports.http)
  return loop.now() - from
end

-- The messages as they arrived, by IMAP and past nginx.
local function check_mail(server, user)
  local imap = assert(mail.imap.connect { host = "localhost", port = server.ports.imaps, user = user.name,
    password = user.password, ssl = { ca_file = servers.certificates().ca_file } })
  assert(imap:select "INBOX")
  local list = assert(imap:fetch_all("1:*", { "envelope" }, { seq = true }))
  local alerts = 0
  for _, m in ipairs(list) do
    if m.envelope.subject == "The site fails" then
      alerts = alerts + 1
    elseif m.envelope.subject ~= "Contact form" or m.envelope.reply_to[1].name ~= "Änne Müller" or m.envelope.to[2] then
      error("a message came out different", 0)
    end
  end
  if alerts ~= 1 then error(("%d alerts"):format(alerts), 0) end
  imap:logout()
  return #list
end

local function run(say)
  local server, why = servers.mail { private = true }
  if not server then return nil, why end
  local user = server:add_user()
  local nginx
  nginx, why = site(server, user)
  if not nginx then
    server:close()
    return nil, why
  end
  local ok, seconds = pcall(visit, say, server, nginx)
  local counted, messages = pcall(check_mail, server, user)
  local log = nginx:log()
  nginx:close()
  server:close()
  if not ok then error(seconds .. "\n" .. log, 0) end
  if not counted then error(messages, 0) end
  for _, sign in ipairs { "a global Lua variable", "runtime error", "thread aborted", "[alert]", "[crit]" } do
    if log:find(sign, 1, true) then error("nginx logged:\n" .. log, 0) end
  end
  say("Everything ended; %d messages came by IMAP as they were written, in %.1f s.", messages, seconds)
  return true
end

if ... == "spec.demo.openresty" then return run end

local ok, done, why = pcall(run, function(words, ...) print(words:format(...)) end)
if ok and done then os.exit(0) end
io.stderr:write("make openresty-demo: ", tostring(ok and why or done), "\n")
os.exit(1)
