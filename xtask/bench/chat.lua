-- One short plain completion, for wrk.
wrk.method = "POST"
wrk.body = '{"model":"Qwen/Qwen3-32B-TEE","messages":[{"role":"user","content":"hi"}]}'
wrk.headers["Content-Type"] = "application/json"
