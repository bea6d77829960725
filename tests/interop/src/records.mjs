// The records of spec/posthouse.cddl that two relays exchange, as far as this program speaks.
//
// A record is written and read by its table: the name of each field, its key, and its type. A key from zero up that the
// table does not have is refused, a negative one is skipped (spec/encoding.md).

import { Malformed, decode, encode } from './cbor.mjs'

const bad = (rule, what) => {
  throw new Malformed(rule, what)
}

const number = (max) => ({
  write: (value) => value,
  read: (value) => (Number.isSafeInteger(value) || typeof value === 'bigint') && value >= 0 && value <= max ? value : bad('bad-value', 'a number')
})
const bytes = (min, max = min) => ({
  write: (value) => value,
  read: (value) => (value instanceof Uint8Array && value.length >= min && value.length <= max ? Buffer.from(value) : bad('too-long', 'a byte string'))
})
const text = (max) => ({
  write: (value) => value,
  read: (value) => (typeof value === 'string' && Buffer.byteLength(value) <= max ? value : bad('wrong-type', 'a text'))
})
const flag = { write: (value) => value, read: (value) => (typeof value === 'boolean' ? value : bad('wrong-type', 'a bool')) }
const list = (of, max) => ({
  write: (values) => values.map(of.write),
  read: (values) => (Array.isArray(values) && values.length <= max ? values.map(of.read) : bad('too-long', 'a list'))
})
const optional = (of) => ({ ...of, optional: true })

const record = (table) => ({
  write(value) {
    const map = new Map()
    for (const [name, [key, type]] of Object.entries(table)) {
      if (value[name] !== undefined) map.set(key, type.write(value[name]))
    }
    for (const [key, extension] of value.extensions ?? []) map.set(key, extension)
    return map
  },
  read(map) {
    if (!(map instanceof Map)) bad('wrong-type', 'no map where a record belongs')
    const known = new Set(Object.values(table).map(([key]) => key))
    for (const key of map.keys()) {
      if (typeof key !== 'number' && typeof key !== 'bigint') bad('wrong-type', 'a key')
      if (key >= 0 && !known.has(key)) bad('unknown-field', `the critical key ${key}`)
    }
    const value = {}
    for (const [name, [key, type]] of Object.entries(table)) {
      if (map.has(key)) value[name] = type.read(map.get(key))
      else if (!type.optional) bad('missing-field', name)
    }
    return value
  }
})

/** A choice; its value is `{ name: value }`. */
const choice = (table) => ({
  write(value) {
    const [[name, inner]] = Object.entries(value)
    const [code, type] = table[name]
    return [code, type.write(inner)]
  },
  read(pair) {
    if (!Array.isArray(pair) || pair.length !== 2) bad('wrong-type', 'no pair where a choice belongs')
    const found = Object.entries(table).find(([, [code]]) => code === pair[0])
    if (found === undefined) bad('unknown-variant', String(pair[0]))
    const [name, [, type]] = found
    return { [name]: type.read(pair[1]) }
  }
})

const position = number((1n << 63n) - 2n)
const count = number((1n << 64n) - 1n)
const small = number(0xffff)
const domain = text(253)
const hash = bytes(32)
const key = bytes(32)
const signed = (max) => bytes(1, max)

export const MAX_ENVELOPE = 8388608
export const MAX_ENVELOPE_ITEMS = 1024
export const MAX_MANIFEST = 16384
export const MAX_PEER_FRAME = 9437184
export const MAX_CLOCK_SKEW_MS = 300000

export const CLASS = { control: 1, messages: 2, slots: 3, media: 4 }

export const RULES = [
  'malformed-frame', 'frame-too-long', 'no-hello', 'no-common-version', 'manifest-signature', 'manifest-chain', 'not-a-node',
  'clock-skew', 'forged-origin', 'wrong-destination', 'envelope-signature', 'sequence-gap', 'wrong-lane', 'over-credit',
  'too-many-streams', 'wrong-item', 'not-allowed', 'unknown-domain', 'out-of-turn', 'unavailable', 'too-fast', 'cut-off',
  'equivocation', 'holder-full', 'not-a-holder', 'bad-gossip'
]

export const ITEM_REFUSALS = ['quota-exceeded', 'unknown-room', 'no-recipient', 'no-ticket', 'invalid-item']

export const node = record({ key: [1, key], notBefore: [2, position], notAfter: [3, position] })

export const manifest = record({
  domain: [1, domain], seq: [2, position], previous: [3, optional(hash)], root: [4, key], nextRoot: [5, hash], ordering: [6, key],
  nodes: [7, list(node, 64)], addresses: [8, list(text(512), 16)], clientUrl: [9, text(512)], created: [10, position],
  lineage: [11, optional(hash)]
})

export const cursor = record({ class: [1, number(4)], incarnation: [2, bytes(16)], next: [3, position] })

export const hello = record({
  minVersion: [1, small], maxVersion: [2, small], manifest: [3, signed(MAX_MANIFEST)], now: [4, position], cursors: [5, list(cursor, 16)]
})

export const refusal = record({ rule: [1, number(RULES.length)], detail: [2, text(512)] })

export const helloResponse = choice({ hello: [1, hello], refused: [2, refusal] })

const credit = record({ items: [1, count], bytes: [2, count] })
const refusedItem = record({ seq: [1, position], reason: [2, number(5)], detail: [3, text(512)] })

export const deliverFrame = choice({
  open: [1, record({ class: [1, number(4)], incarnation: [2, bytes(16)], oldest: [3, position] })],
  envelope: [2, bytes(0, MAX_ENVELOPE)]
})

export const receiptFrame = choice({
  resume: [1, record({ next: [1, position], credit: [2, credit] })],
  ack: [2, record({ next: [1, position], refused: [2, list(refusedItem, 1024)], credit: [3, credit] })],
  busy: [3, record({ retryAfterMs: [1, count] })],
  refused: [4, refusal]
})

export const envelope = record({
  version: [1, small], origin: [2, domain], destination: [3, domain], class: [4, number(4)], incarnation: [5, bytes(16)],
  first: [6, position], created: [7, position], items: [8, list(bytes(0, MAX_ENVELOPE), MAX_ENVELOPE_ITEMS)]
})

const ITEMS = ['message-item', 'epoch-end-item', 'decided-item', 'welcome-item', 'undelivered-item', 'canary-item']

/** Items as far as this relay looks into them: what each is, and which room it is for. */
export const epochEnd = (room, hub, epoch) => encode([2, new Map([[1, room], [2, hub], [3, epoch]])])
/** An operator's test of the whole way, or the answer to it. */
export const canary = (nonce, answer) => encode([6, new Map([[1, nonce], [2, answer]])])
export const itemName = (item) => ITEMS[decode(item)[0] - 1] ?? 'unknown'

export const accountRecord = record({ binding: [1, signed(8192)], chain: [2, list(signed(4096), 4096)] })

export const aliasBinding = record({ claim: [1, signed(4096)], bound: [2, position] })

export const keyClaim = record({
  claimant: [1, hash], device: [2, key], alias: [3, text(318)], target: [4, hash], domain: [5, domain], suite: [6, small],
  created: [7, position], nonce: [8, bytes(16)]
})

export const keysRequest = choice({
  alias: [1, text(64)],
  chain: [2, hash],
  claim: [3, record({ claim: [1, signed(4096)], claimant: [2, accountRecord] })],
  record: [4, hash]
})

const claimed = record({ device: [1, key], keyPackage: [2, bytes(0, 16384)], ticket: [3, bytes(32)], lastResort: [4, flag] })
const no = record({ reason: [1, number(30)], detail: [2, text(512)] })

export const keysResponse = choice({
  account: [1, accountRecord], chain: [2, list(signed(4096), 4096)], claimed: [3, list(claimed, 32)], no: [4, no], refused: [5, refusal]
})

export const toBytes = (type, value) => encode(type.write(value))
export const fromBytes = (type, encoded) => type.read(decode(encoded))
