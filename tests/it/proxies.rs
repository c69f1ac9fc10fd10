//! What a real reverse proxy does to requests and answers.

mod etags;
mod prefix;
