// libp2p calls a function that Node has from version 22 on. Imported before everything else.
Promise.withResolvers ??= function withResolvers() {
  let resolve
  let reject
  const promise = new this((fulfil, fail) => {
    resolve = fulfil
    reject = fail
  })
  return { promise, resolve, reject }
}
