//! How the fields of a payload are laid out.

use super::MAX_ITEMS;
use super::error::FieldError;

/// What is left of a payload.
#[derive(Debug)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], FieldError> {
        let (taken, rest) = self
            .0
            .split_at_checked(count)
            .ok_or(FieldError::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], FieldError> {
        let taken = self.take(N)?;
        taken.try_into().map_err(|_| FieldError::Truncated)
    }

    /// Everything that is left.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0).to_vec()
    }
}

/// A value that has a place in a payload.
pub(crate) trait Field: Sized {
    fn put(&self, out: &mut Vec<u8>);
    fn take(from: &mut Reader<'_>) -> Result<Self, FieldError>;
}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl Field for $number {
            fn put(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_be_bytes());
            }
            fn take(from: &mut Reader<'_>) -> Result<Self, FieldError> {
                Ok(Self::from_be_bytes(from.array()?))
            }
        }
    )*};
}
numbers!(u8, u16, u32, u64, i32);

impl Field for bool {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
    fn take(from: &mut Reader<'_>) -> Result<Self, FieldError> {
        match u8::take(from)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(FieldError::Value("yes or no")),
        }
    }
}

impl<const N: usize> Field for [u8; N] {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
    fn take(from: &mut Reader<'_>) -> Result<Self, FieldError> {
        from.array()
    }
}

/// Writes a count. More than a `u32` counts do not fit into a frame, which the decoder refuses.
fn put_count(count: usize, out: &mut Vec<u8>) {
    u32::try_from(count).unwrap_or(u32::MAX).put(out);
}

fn take_count(from: &mut Reader<'_>) -> Result<usize, FieldError> {
    usize::try_from(u32::take(from)?).map_err(|_| FieldError::Truncated)
}

impl Field for String {
    fn put(&self, out: &mut Vec<u8>) {
        put_count(self.len(), out);
        out.extend_from_slice(self.as_bytes());
    }
    fn take(from: &mut Reader<'_>) -> Result<Self, FieldError> {
        let count = take_count(from)?;
        let bytes = from.take(count)?;
        let text = std::str::from_utf8(bytes).map_err(|_| FieldError::Value("UTF-8 text"))?;
        Ok(text.to_owned())
    }
}

impl Field for super::Bytes {
    fn put(&self, out: &mut Vec<u8>) {
        put_count(self.0.len(), out);
        out.extend_from_slice(&self.0);
    }
    fn take(from: &mut Reader<'_>) -> Result<Self, FieldError> {
        let count = take_count(from)?;
        Ok(Self(from.take(count)?.to_vec()))
    }
}

impl<T: Field> Field for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }
    fn take(from: &mut Reader<'_>) -> Result<Self, FieldError> {
        bool::take(from)?.then(|| T::take(from)).transpose()
    }
}

impl<T: Field> Field for Vec<T> {
    fn put(&self, out: &mut Vec<u8>) {
        put_count(self.len(), out);
        for item in self {
            item.put(out);
        }
    }
    fn take(from: &mut Reader<'_>) -> Result<Self, FieldError> {
        let count = take_count(from)?;
        if count > MAX_ITEMS {
            return Err(FieldError::Value("number of items"));
        }
        // Grown as items are found to be there, not as they are announced.
        let mut items = Self::new();
        for _ in 0..count {
            items.push(T::take(from)?);
        }
        Ok(items)
    }
}

/// Structs whose payload is their fields in order.
macro_rules! record {
    ($($(#[$meta:meta])* pub struct $name:ident {
        $($(#[$field_meta:meta])* pub $field:ident: $type:ty,)*
    })*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name {
            $($(#[$field_meta])* pub $field: $type,)*
        }
        impl $crate::wire::field::Field for $name {
            fn put(&self, out: &mut Vec<u8>) {
                $($crate::wire::field::Field::put(&self.$field, out);)*
            }
            fn take(
                from: &mut $crate::wire::field::Reader<'_>,
            ) -> Result<Self, $crate::wire::error::FieldError> {
                Ok(Self { $($field: $crate::wire::field::Field::take(from)?,)* })
            }
        }
    )*};
}
pub(crate) use record;

/// Enums that are one byte.
macro_rules! choice {
    ($($(#[$meta:meta])* pub enum $name:ident: $what:literal {
        $($(#[$variant_meta:meta])* $variant:ident = $value:literal,)*
    })*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $($(#[$variant_meta])* $variant,)*
        }
        impl $crate::wire::field::Field for $name {
            fn put(&self, out: &mut Vec<u8>) {
                out.push(match self { $(Self::$variant => $value,)* });
            }
            fn take(
                from: &mut $crate::wire::field::Reader<'_>,
            ) -> Result<Self, $crate::wire::error::FieldError> {
                match <u8 as $crate::wire::field::Field>::take(from)? {
                    $($value => Ok(Self::$variant),)*
                    _ => Err($crate::wire::error::FieldError::Value($what)),
                }
            }
        }
    )*};
}
pub(crate) use choice;
