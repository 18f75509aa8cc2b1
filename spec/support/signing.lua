-- signing.lua: keys, records and resolvers for the specs of signed messages. The keys are those of RFC 8463
-- Appendix A, so nothing here is secret, and each run signs alike.

local files = require "spec.support.files"

local signing = {}

signing.SEED = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A="
signing.RSA = [[
-----BEGIN RSA PRIVATE KEY-----
MIICXQIBAAKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQi
Y/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqM
KrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB
AoGAH0cxOhFZDgzXWhDhnAJDw5s4roOXN4OhjiXa8W7Y3rhX3FJqmJSPuC8N9vQm
6SVbaLAE4SG5mLMueHlh4KXffEpuLEiNp9Ss3O4YfLiQpbRqE7Tm5SxKjvvQoZZe
zHorimOaChRL2it47iuWxzxSiRMv4c+j70GiWdxXnxe4UoECQQDzJB/0U58W7RZy
6enGVj2kWF732CoWFZWzi1FicudrBFoy63QwcowpoCazKtvZGMNlPWnC7x/6o8Gc
uSe0ga2xAkEA8C7PipPm1/1fTRQvj1o/dDmZp243044ZNyxjg+/OPN0oWCbXIGxy
WvmZbXriOWoSALJTjExEgraHEgnXssuk7QJBALl5ICsYMu6hMxO73gnfNayNgPxd
WFV6Z7ULnKyV7HSVYF0hgYOHjeYe9gaMtiJYoo0zGN+L3AAtNP9huqkWlzECQE1a
licIeVlo1e+qJ6Mgqr0Q7Aa7falZ448ccbSFYEPD6oFxiOl9Y9se9iYHZKKfIcst
o7DUw1/hz2Ck4N5JrgUCQQCyKveNvjzkkd8HjYs0SwM0fPjK16//5qDZ2UiDGnOe
uEzxBDAr518Z8VFbR41in3W4Y3yCDgQlLlcETrS+zYcL
-----END RSA PRIVATE KEY-----
]]
signing.ED_RECORD = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
signing.RSA_PUBLIC = "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQi"
  .. "Y/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3"
  .. "Ip3G+2kryOTIKT+l/K4w3QIDAQAB"
signing.RSA_RECORD = "v=DKIM1; k=rsa; p=" .. signing.RSA_PUBLIC

-- A resolver over fixed data: { txt = { name = text or { texts } }, a = { name = { addresses } }, mx = …, ptr = … }.
-- The value "timeout" is no answer. `asked` counts the questions.
function signing.resolver(data)
  local self = { asked = 0 }
  local function fn(kind)
    local rows = data[kind] or {}
    return function(name)
      self.asked = self.asked + 1
      local found = rows[name:lower()]
      if found == "timeout" then return nil, "no answer in time" end
      return type(found) == "string" and { found } or found
    end
  end
  self.txt, self.mx, self.addresses, self.ptr = fn "txt", fn "mx", fn "a", fn "ptr"
  return self, self
end

-- What dkim.verify wants, without the count.
function signing.keys(txt)
  local all = signing.resolver { txt = txt }
  return { txt = all.txt, mx = all.mx, addresses = all.addresses, ptr = all.ptr }
end

function signing.data(name) return files.slurp("spec/data/sign/" .. name) end

return signing
