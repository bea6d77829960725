//! The tables of numbers that become types: [`record!`](crate::record), [`choice!`](crate::choice) and
//! [`codes!`](crate::codes).

/// Defines a record: a struct encoded as a map with the given integer keys: the critical ones ascending, then the
/// extensions descending from -1. An extension is always optional, because an older writer does not know it.
#[macro_export]
macro_rules! record {
    ($(#[$meta:meta])* $vis:vis struct $name:ident {
        $($(#[$fmeta:meta])* $key:literal => $field:ident : $ty:ty),+ $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        $vis struct $name { $($(#[$fmeta])* pub $field: $ty),+ }

        impl $crate::cbor::Cbor for $name {
            fn write(&self, w: &mut $crate::cbor::Writer) {
                let present = 0 $(+ usize::from(!$crate::cbor::Cbor::is_absent(&self.$field)))+;
                w.map(present);
                $(if !$crate::cbor::Cbor::is_absent(&self.$field) {
                    w.int($key);
                    $crate::cbor::Cbor::write(&self.$field, w);
                })+
            }

            fn read(r: &mut $crate::cbor::Reader<'_>) -> Result<Self, $crate::cbor::Malformed> {
                let len = r.map(stringify!($name), $crate::limits::MAX_FIELDS)?;
                let mut order = $crate::cbor::KeyOrder::default();
                $(let mut $field: Option<$ty> = None;)+
                for _ in 0..len {
                    let key = r.int()?;
                    order.next(stringify!($name), key)?;
                    match key {
                        $($key => $field = Some($crate::cbor::Cbor::read(r)?),)+
                        key if key < 0 => r.skip()?,
                        key => {
                            return Err($crate::cbor::Malformed::UnknownField { record: stringify!($name), key });
                        }
                    }
                }
                Ok(Self {
                    $($field: match $field.or_else(<$ty as $crate::cbor::Cbor>::absent) {
                        Some(value) => value,
                        None => {
                            return Err($crate::cbor::Malformed::MissingField {
                                record: stringify!($name),
                                field: stringify!($field),
                            });
                        }
                    }),+
                })
            }
        }
    };
}

/// Defines a choice: an enum encoded as the array `[number, value]`.
#[macro_export]
macro_rules! choice {
    ($(#[$meta:meta])* $vis:vis enum $name:ident {
        $($(#[$vmeta:meta])* $code:literal => $variant:ident($ty:ty)),+ $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        $vis enum $name { $($(#[$vmeta])* $variant($ty)),+ }

        impl $crate::cbor::Cbor for $name {
            fn write(&self, w: &mut $crate::cbor::Writer) {
                w.array(2);
                match self {
                    $(Self::$variant(value) => {
                        w.uint($code);
                        $crate::cbor::Cbor::write(value, w);
                    })+
                }
            }

            fn read(r: &mut $crate::cbor::Reader<'_>) -> Result<Self, $crate::cbor::Malformed> {
                if r.array(stringify!($name), 2)? != 2 {
                    return Err($crate::cbor::Malformed::BadValue("a choice is [number, value]"));
                }
                match r.uint()? {
                    $($code => Ok(Self::$variant($crate::cbor::Cbor::read(r)?)),)+
                    code => Err($crate::cbor::Malformed::UnknownVariant { kind: stringify!($name), code }),
                }
            }
        }
    };
}

/// Defines a table of codes: a field-less enum encoded as its number, with a stable kebab-case name.
#[macro_export]
macro_rules! codes {
    ($(#[$meta:meta])* $vis:vis enum $name:ident {
        $($(#[$vmeta:meta])* $code:literal => $variant:ident = $text:literal),+ $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $vis enum $name { $($(#[$vmeta])* $variant = $code),+ }

        impl $name {
            /// Every value, in the order of the codes.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
            /// The stable name, as errors, logs and JSON give it.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
            /// The number on the wire and in stores.
            #[must_use]
            pub fn code(self) -> u64 {
                self as u64
            }
            /// The value with this number, if there is one.
            #[must_use]
            pub fn from_code(code: u64) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)+ _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }

        impl $crate::cbor::Cbor for $name {
            fn write(&self, w: &mut $crate::cbor::Writer) {
                w.uint(self.code());
            }
            fn read(r: &mut $crate::cbor::Reader<'_>) -> Result<Self, $crate::cbor::Malformed> {
                let code = r.uint()?;
                Self::from_code(code)
                    .ok_or($crate::cbor::Malformed::UnknownVariant { kind: stringify!($name), code })
            }
        }
    };
}
