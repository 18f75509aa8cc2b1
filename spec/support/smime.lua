-- smime.lua: certificates of a run, the `openssl cms` program, and the little DER that it cannot write.
local Keeper = require "spec.servers.keeper"
local files = require "spec.support.files"

local smime = {}
local quote, read, write = Keeper.quote, files.slurp, files.write

--- A folder of certificates: `pki:path(name)`, `pki:read(name)`, `pki:write(name, text)`, `pki:openssl(words)`.
function smime.new()
  local folder = os.tmpname()
  os.remove(folder)
  assert(Keeper.shell(("mkdir -m 700 %s && sh spec/support/smime.sh %s"):format(quote(folder), quote(folder))))
  local pki = { folder = folder }
  function pki:path(name) return self.folder .. "/" .. name end
  function pki:read(name) return read(self:path(name)) end
  function pki:write(name, text)
    write(self:path(name), text)
    return self:path(name)
  end
  -- true and what it said, or false and that; paths are of the folder
  function pki:openssl(words)
    local log = self:path "openssl.log"
    local ok = os.execute(("cd %s && openssl %s > %s 2>&1"):format(quote(self.folder), words, quote(log)))
    return ok == true or ok == 0, read(log)
  end
  function pki:remove() os.execute("rm -rf " .. quote(self.folder)) end
  -- what smime.sign takes
  function pki:own(name)
    return { key = self:read(name .. ".key"), certificate = self:read(name .. ".crt"),
             chain = self:read "middle.crt" }
  end
  return pki
end

-- --- DER ------------------------------------------------------------------------------------------

local function length(n)
  if n < 128 then return string.char(n) end
  local octets = ""
  while n > 0 do
    octets = string.char(n % 256) .. octets
    n = math.floor(n / 256)
  end
  return string.char(128 + #octets) .. octets
end

local function der(tag, ...)
  local content = table.concat { ... }
  return string.char(tag) .. length(#content) .. content
end

smime.der = der

local function adler(text)
  local a, b = 1, 0
  for i = 1, #text do
    a = (a + text:byte(i)) % 65521
    b = (b + a) % 65521
  end
  return string.char(math.floor(b / 256), b % 256, math.floor(a / 256), a % 256)
end

-- Text in zlib's form without being compressed: one stored block (RFC 1950, RFC 1951 §3.2.4).
local function stored(text)
  local n = #text
  local low, high = n % 256, math.floor(n / 256)
  return "\120\1\1" .. string.char(low, high, 255 - low, 255 - high) .. text .. adler(text)
end

--- CompressedData (RFC 3274) of up to 65,535 octets, or of what is compressed already.
function smime.compressed(text, packed)
  local id = "\6\11\42\134\72\134\247\13\1\9\16\1\9" -- id-ct-compressedData
  local zlib = "\6\11\42\134\72\134\247\13\1\9\16\3\8"
  local data = "\6\9\42\134\72\134\247\13\1\7\1"
  local content = der(0x30, data, der(0xA0, der(4, packed or stored(text))))
  return der(0x30, id, der(0xA0, der(0x30, "\2\1\0", der(0x30, zlib), content)))
end

return smime
