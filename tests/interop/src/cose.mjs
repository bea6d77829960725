// The signed container of spec/encoding.md: an untagged COSE_Sign1 with Ed25519, the label as external_aad.

import { createHash, createPrivateKey, createPublicKey, randomBytes, sign as signBytes, verify as verifyBytes } from 'node:crypto'

import { ed25519 } from '@noble/curves/ed25519.js'

import { Malformed, decode, encode } from './cbor.mjs'

export const LABELS = {
  manifest: 'posthouse/manifest/1',
  envelope: 'posthouse/envelope/1',
  decision: 'posthouse/decision/1',
  aliasClaim: 'posthouse/alias-claim/1',
  aliasBinding: 'posthouse/alias-binding/1',
  accountEvent: 'posthouse/account-event/1',
  keyClaim: 'posthouse/key-claim/1'
}

const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex')
const SPKI = Buffer.from('302a300506032b6570032100', 'hex')
const ALGORITHM = -8

export const sha256 = (bytes) => createHash('sha256').update(bytes).digest()
export const same = (a, b) => Buffer.compare(a, b) === 0

/** An Ed25519 key pair: the seed and the raw public key. */
export class Key {
  constructor(seed = randomBytes(32)) {
    this.seed = seed
    this.secret = createPrivateKey({ key: Buffer.concat([PKCS8, seed]), format: 'der', type: 'pkcs8' })
    this.public = createPublicKey(this.secret).export({ format: 'der', type: 'spki' }).subarray(SPKI.length)
  }

  /** The container of a payload. */
  sign(label, payload) {
    const header = encode(new Map([[1, ALGORITHM], [4, this.public]]))
    const signature = signBytes(null, toSign(label, header, payload), this.secret)
    return encode([header, new Map(), payload, signature])
  }
}

export function toSign(label, header, payload) {
  return encode(['Signature1', header, Buffer.from(label, 'ascii'), payload])
}

/** The parts of a container whose form holds; nothing is believed yet. */
export function open(container) {
  const parts = decode(container)
  if (!Array.isArray(parts) || parts.length !== 4) throw new Malformed('wrong-type', 'no array of four')
  const [header, unprotected, payload, signature] = parts
  if (![header, payload, signature].every((part) => part instanceof Uint8Array) || !(unprotected instanceof Map)) {
    throw new Malformed('wrong-type', 'the parts of a container')
  }
  const fields = decode(header)
  const kid = fields instanceof Map ? fields.get(4) : undefined
  const fits = fields?.size === 2 && fields.get(1) === ALGORITHM && kid instanceof Uint8Array && kid.length === 32
  if (!fits || unprotected.size !== 0) throw new Malformed('bad-value', 'the header maps')
  if (signature.length !== 64) throw new Malformed('too-long', 'the signature')
  return { header, kid, payload, signature }
}

/** The payload of a container that `signer` has signed. */
export function verify(label, container, signer) {
  const { header, kid, payload, signature } = open(container)
  if (!same(kid, signer)) throw new Malformed('wrong-signer', 'kid is not the key that must have signed')
  const message = toSign(label, header, payload)
  // The two libraries are strict about different things: the one about the key's point, the other about the cofactor.
  if (!isGoodPoint(signer)) throw new Malformed('bad-key', 'the key is no point that may be used')
  const key = createPublicKey({ key: Buffer.concat([SPKI, signer]), format: 'der', type: 'spki' })
  const holds = verifyBytes(null, message, key, signature) && ed25519.verify(signature, message, signer, { zip215: false })
  if (!holds) throw new Malformed('bad-signature', 'the signature does not hold')
  return payload
}

function isGoodPoint(bytes) {
  try {
    return !ed25519.Point.fromBytes(Uint8Array.from(bytes), false).isSmallOrder()
  } catch {
    return false
  }
}
