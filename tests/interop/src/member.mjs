// Somebody who lives at this relay: what others are told of them over /posthouse/keys/1 (spec/identity.md).
//
// The person's own things (chain, alias claim, key packages) come from outside, as they would from a client; the relay
// adds the binding of the alias and the tickets.

import { randomBytes } from 'node:crypto'

import { LABELS, open, sha256, verify } from './cose.mjs'
import { follow } from './identity.mjs'
import { aliasBinding, fromBytes, keyClaim, toBytes } from './records.mjs'

const UNKNOWN_ACCOUNT = 11
const INVALID_SIGNATURE = 13

/** The answers to a `keys-request` for one member: {name, chain, claim, device, packages: {suite: bytes}}, in hex. */
export function memberOf(relay, told) {
  const hex = (text) => Buffer.from(text, 'hex')
  const chain = told.chain.map(hex)
  const account = sha256(open(chain[0]).payload)
  const binding = relay.identity.ordering.sign(LABELS.aliasBinding, toBytes(aliasBinding, { claim: hex(told.claim), bound: Date.now() }))
  const answered = new Map()
  const no = (reason, detail) => ({ no: { reason, detail } })

  const claim = (session, { claim: container, claimant }) => {
    const asked = fromBytes(keyClaim, open(container).payload)
    try {
      verify(LABELS.keyClaim, container, asked.device)
      const { ordering } = follow(session.domain, relay.pins.get(session.domain))
      verify(LABELS.aliasBinding, claimant.binding, ordering)
      if (!sha256(open(claimant.chain[0]).payload).equals(asked.claimant)) throw new Error('the chain is of another account')
    } catch (error) {
      return no(INVALID_SIGNATURE, error.message)
    }
    const keyPackage = told.packages[asked.suite]
    if (!asked.target.equals(account) || keyPackage === undefined) return { claimed: [] }
    // The same claim again gets the same answer.
    const again = answered.get(asked.nonce.toString('hex'))
    const ticket = again ?? randomBytes(32)
    answered.set(asked.nonce.toString('hex'), ticket)
    return { claimed: [{ device: hex(told.device), keyPackage: hex(keyPackage), ticket, lastResort: false }] }
  }

  return (session, request) => {
    if (request.alias !== undefined) {
      return request.alias === told.name ? { account: { binding, chain } } : no(UNKNOWN_ACCOUNT, 'nobody of this name')
    }
    if (request.chain !== undefined) {
      return request.chain.equals(account) ? { chain } : no(UNKNOWN_ACCOUNT, 'nobody of this account')
    }
    if (request.record !== undefined) {
      return request.record.equals(account) ? { account: { binding, chain } } : no(UNKNOWN_ACCOUNT, 'nobody of this account')
    }
    return claim(session, request.claim)
  }
}
