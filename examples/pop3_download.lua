--- Downloads a POP3 maildrop into a folder, one file for each message; what is there already is not fetched again.
package.path = (arg[0]:match "^(.*)[/\\]" or ".") .. "/?.lua;" .. package.path
local mail = require "mail"
local support = require "support"
local try = support.try

local o = support.options([[
usage: pop3_download.lua [options] FOLDER

Writes every message as FOLDER/UID.eml, where UID is the server's id for it. FOLDER must exist.
  --delete           delete the messages on the server once they are all on the disk
  --quiet            say nothing but errors
ACCOUNT
]], 1)

local folder = o[1] or support.die("which folder? see --help", 2)

local function path_of(m)
  local name = m.uid or ("number-" .. m.number)
  return folder .. "/" .. name:gsub("[^%w._-]", function(c) return ("%%%02X"):format(c:byte()) end):gsub("^%.", "%%2E")
    .. ".eml"
end

local function exists(path)
  local file = io.open(path, "rb")
  return file and file:close()
end

-- Under another name until it is whole, so that a broken download is never taken for a message.
local function download(m, path)
  local partial = path .. ".part"
  local file = support.open(partial, "wb")
  local ok, err = m:retr(function(piece)
    if piece then return file:write(piece) end
    return true
  end)
  local closed, why = file:close()
  if ok and closed then ok, err = os.rename(partial, path) end
  if ok and closed then return end
  os.remove(partial)
  support.die(err or why)
end

support.main(function()
  local pop = try(mail.pop3.connect(support.account(o)))
  local fetched, bytes, numbers = 0, 0, {}
  for m in try(pop:messages()) do
    local path = path_of(m)
    -- Without the server's own id a number may mean another message tomorrow.
    if not (m.uid and exists(path)) then
      download(m, path)
      fetched, bytes = fetched + 1, bytes + (m.size or 0)
    end
    numbers[#numbers + 1] = m.number
  end
  for _, number in ipairs(o.delete and numbers or {}) do try(pop:dele(number)) end
  try(pop:quit())
  if o.quiet then return end
  support.say("%d messages, %d new (%d bytes)%s", #numbers, fetched, bytes,
    o.delete and ", deleted on the server" or "")
end)
