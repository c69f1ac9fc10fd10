//! Lists by id, a page at a time.

/// Direction of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Order {
    /// Oldest first.
    #[default]
    Ascending,
    /// Newest first.
    Descending,
}

/// Which part of a list is asked for.
#[derive(Clone, Copy, Debug)]
pub struct PageRequest {
    /// At most so many items, from 1 to 200.
    pub limit: u64,
    /// The id of the last item seen.
    pub after: Option<i64>,
    /// Direction.
    pub order: Order,
}

/// A part of a list.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// The id to go on after, if there is more.
    pub next: Option<i64>,
}

impl<T> Page<T> {
    /// From up to `limit + 1` items: one more than asked for tells that there is more.
    pub fn cut(mut items: Vec<T>, request: &PageRequest, id: impl Fn(&T) -> i64) -> Self {
        let limit = usize::try_from(request.limit).unwrap_or(usize::MAX);
        let more = items.len() > limit;
        items.truncate(limit);
        let next = if more { items.last().map(id) } else { None };
        Self { items, next }
    }

    /// The same page of other items.
    pub fn map<U>(self, each: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(each).collect(), next: self.next }
    }
}
