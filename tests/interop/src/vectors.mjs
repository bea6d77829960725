// The test vectors of spec/vectors, as far as this program knows their types.

import assert from 'node:assert/strict'
import { readFileSync, readdirSync } from 'node:fs'

import { Malformed, decode } from './cbor.mjs'
import { Key, LABELS, open, sha256, toSign, verify } from './cose.mjs'
import { Broken, follow } from './identity.mjs'
import * as wire from './records.mjs'

const FOLDER = new URL('../../../spec/vectors/', import.meta.url)

const TYPES = {
  manifest: wire.manifest, node: wire.node, 'lane-cursor': wire.cursor, 'peer-hello': wire.hello, 'hello-response': wire.helloResponse,
  'peer-refusal': wire.refusal, 'deliver-frame': wire.deliverFrame, 'receipt-frame': wire.receiptFrame, envelope: wire.envelope,
  'keys-request': wire.keysRequest, 'keys-response': wire.keysResponse, 'account-record': wire.accountRecord,
  'alias-binding': wire.aliasBinding, 'key-claim': wire.keyClaim
}

const read = (name) => JSON.parse(readFileSync(new URL(name, FOLDER), 'utf8'))

/** Reads what is to be read, refuses what is to be refused, and gives how many of each. */
export function checkVectors() {
  const counts = { values: 0, written: 0, malformed: 0, signed: 0, refused: 0, followed: 0 }
  for (const file of readdirSync(FOLDER).filter((name) => !['malformed.json', 'signed.json'].includes(name))) {
    for (const { name, type, hex } of read(file).vectors) {
      const bytes = Buffer.from(hex, 'hex')
      const value = decode(bytes)
      counts.values += 1
      if (TYPES[type] === undefined) continue
      const again = wire.toBytes(TYPES[type], TYPES[type].read(value))
      // Extensions are skipped, and so not written again.
      const extended = value instanceof Map && [...value.keys()].some((key) => key < 0)
      if (!extended) assert.equal(Buffer.from(again).toString('hex'), hex, name)
      counts.written += 1
    }
  }
  for (const { name, type, hex, rule } of read('malformed.json').vectors) {
    const bytes = Buffer.from(hex, 'hex')
    const reader = type.startsWith('signed-') ? open : TYPES[type] && ((bytes) => wire.fromBytes(TYPES[type], bytes))
    if (reader === undefined) continue
    assert.throws(() => reader(bytes), Malformed, `${name} breaks ${rule}`)
    counts.malformed += 1
  }
  const { keys, vectors, refused, manifests } = read('signed.json')
  const keyOf = (name) => keys.find((key) => key.name === name)
  for (const { name, label, signer, hex, to_be_signed, payload_sha256 } of vectors) {
    const key = new Key(Buffer.from(keyOf(signer).seed, 'hex'))
    const container = Buffer.from(hex, 'hex')
    const { header, payload } = open(container)
    assert.equal(Buffer.from(toSign(label, header, payload)).toString('hex'), to_be_signed, name)
    assert.equal(sha256(verify(label, container, key.public)).toString('hex'), payload_sha256, name)
    assert.deepEqual(Buffer.from(key.sign(label, payload)), container, `${name}: the same key gives the same signature`)
    counts.signed += 1
  }
  for (const { name, hex, key, rule } of refused) {
    const refuse = () => verify(LABELS.decision, Buffer.from(hex, 'hex'), Buffer.from(key, 'hex'))
    assert.throws(refuse, (error) => error instanceof Malformed && error.rule === rule, `${name} breaks ${rule}`)
    counts.refused += 1
  }
  const pinned = Buffer.from(manifests.pinned, 'hex')
  const { domain } = wire.fromBytes(wire.manifest, open(pinned).payload)
  for (const { name, hex, rule: fault } of manifests.successors) {
    const step = () => follow(domain, Buffer.from(hex, 'hex'), pinned)
    const named = (error) => error instanceof Broken && (fault === 'signature' ? error.rule === 'manifest-signature' : error.detail === fault)
    if (fault === null || fault === undefined) assert.doesNotThrow(step, name)
    else assert.throws(step, named, `${name} is refused by ${fault}`)
    counts.followed += 1
  }
  return counts
}
