-- The checks of io_conformance.lua in a request of nginx with its Lua module.
require "spec.support.nginx_runner" "checks()"
