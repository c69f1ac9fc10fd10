//! Pages of a list that is ordered by ID.

/// Direction of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Order {
    /// Oldest first.
    #[default]
    Ascending,
    /// Newest first.
    Descending,
}

/// Requested part of a list.
#[derive(Clone, Copy, Debug)]
pub struct PageRequest {
    /// Maximum number of items, from 1 to 200.
    pub limit: u64,
    /// ID of the last item of the previous page.
    pub after: Option<i64>,
    pub order: Order,
}

/// Part of a list.
#[derive(Clone, Debug)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// ID to continue after; none on the last page.
    pub next: Option<i64>,
}

impl<T> Page<T> {
    /// Cuts a page from up to `limit + 1` items: the extra item shows that there is another page.
    pub fn cut(mut items: Vec<T>, request: &PageRequest, id: impl Fn(&T) -> i64) -> Self {
        let limit = usize::try_from(request.limit).unwrap_or(usize::MAX);
        let more = items.len() > limit;
        items.truncate(limit);
        let next = if more { items.last().map(id) } else { None };
        Self { items, next }
    }

    /// Converts the items of a page.
    pub fn map<U>(self, each: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(each).collect(), next: self.next }
    }
}
