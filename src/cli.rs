//! The command line.

mod demo;
mod outcome;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::pin,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use clap::{Parser, Subcommand};
use secrecy::ExposeSecret as _;

use self::outcome::Outcome;
use crate::{
    app::{self, App},
    config::{Config, DEFAULT_LISTEN_ADDR, LogFormat},
    domain::{clock::SystemClock, scope::Scopes, text::ClientName},
    http::spec,
    lifecycle,
    service::{Context, SystemChance, auth},
    store, telemetry,
};

/// Lets the two people of a ride call and text each other without either seeing the other's phone number.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the API (the default).
    Serve,
    /// Bring the database schema up to date.
    Migrate,
    /// Write the OpenAPI document to openapi/openapi.json.
    Openapi {
        /// Only check: fail if the written document is out of date.
        #[arg(long)]
        check: bool,
    },
    /// Manage API clients.
    Client {
        #[command(subcommand)]
        command: ClientCommand,
    },
    /// Re-encrypt all phone numbers and texts with the first key of DATA_KEY.
    Rekey,
    /// Play a complete ride in the terminal, on its own throwaway server.
    Demo,
    /// Ask the running service whether it is ready, for container health checks.
    Healthcheck,
}

#[derive(Subcommand)]
enum ClientCommand {
    /// Create a client and print its secret, once.
    Create {
        /// Name of the client.
        name: String,
        /// Space-separated scopes; all of them by default.
        #[arg(long)]
        scope: Option<String>,
    },
}

/// Runs the command line.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = tokio::runtime::Runtime::new().map_err(Into::into).and_then(|runtime| {
        let outcome = runtime.block_on(run(cli));
        // A thread that is still blocked, for example by a DNS lookup, must not delay the exit any longer.
        runtime.shutdown_timeout(Duration::from_millis(300));
        outcome
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(wrong) => {
            eprintln!("{wrong}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> Outcome {
    match cli.command.unwrap_or(Command::Serve) {
        Command::Serve => serve().await,
        Command::Migrate => migrate().await,
        Command::Openapi { check } => openapi(check),
        Command::Client { command: ClientCommand::Create { name, scope } } => create_client(&name, scope).await,
        Command::Rekey => rekey().await,
        Command::Demo => demo::play().await,
        Command::Healthcheck => healthcheck().await,
    }
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn read_dotenv() -> Outcome {
    match dotenvy::dotenv() {
        Ok(_) => Ok(()),
        Err(wrong) if wrong.not_found() => Ok(()),
        // The line itself may hold a secret.
        Err(_) => Err("The file .env cannot be read: each line must be NAME=value".into()),
    }
}

/// Reads `.env` and the environment, and starts logging.
fn configure() -> Outcome<Config> {
    read_dotenv()?;
    telemetry::init(LogFormat::from_env(&environment));
    Ok(Config::load(&environment)?)
}

async fn serve() -> Outcome {
    let config = configure()?;
    let database = config.database_file();
    // Caught before anything listens: a supervisor may ask for a stop as soon as there is an answer.
    let mut asked_to_stop = pin!(lifecycle::signals()?);
    let Some(app) = App::build_to_serve(config, Arc::new(SystemClock), &mut asked_to_stop).await? else {
        tracing::info!("stopping before the start");
        return Ok(());
    };
    println!("Maskline {} listens on {}", env!("CARGO_PKG_VERSION"), app.address());
    println!("Swagger UI  {}/docs", app.base_url());
    if let Some(database) = database {
        println!("Database    {} (embedded; its keys are beside it)", database.display());
    }
    if let Some(client) = app.first_client() {
        println!("\nThis is the first start. Sign in with this client; its secret is shown only now:");
        println!("  client_id      {}", client.client_id);
        println!("  client_secret  {}", client.secret.expose_secret());
    }
    let mut running = app.start(true);
    let asked = tokio::select! {
        () = &mut asked_to_stop => true,
        () = running.ended() => false,
    };
    tracing::info!(asked, "stopping");
    running.stop().await;
    // The exit code makes a supervisor start the process again.
    if asked { Ok(()) } else { Err("A part of the service ended by itself; see the log".into()) }
}

async fn migrate() -> Outcome {
    app::migrate(&configure()?).await?;
    println!("The schema is up to date.");
    Ok(())
}

fn openapi(check: bool) -> Outcome {
    const PATH: &str = "openapi/openapi.json";
    let document = spec::json(&spec::document());
    if check {
        let written = std::fs::read_to_string(PATH)?;
        if written != document {
            return Err(format!("{PATH} is not the present document: run `maskline openapi`").into());
        }
    } else {
        std::fs::create_dir_all("openapi")?;
        std::fs::write(PATH, document)?;
    }
    Ok(())
}

async fn create_client(name: &str, scope: Option<String>) -> Outcome {
    let name = ClientName::parse(name).map_err(|wrong| format!("The name {wrong}"))?;
    let scopes = match &scope {
        Some(words) => Scopes::parse(words).filter(|scopes| !scopes.is_empty()).ok_or("A scope is unknown")?,
        None => Scopes::all(),
    };
    let config = configure()?;
    let store = app::open(&config).await?;
    let ctx = Context::new(config, store, Arc::new(SystemClock), Arc::new(SystemChance));
    let made = auth::create_client_unasked(&ctx, &name, &scopes).await?;
    println!("client_id      {}", made.client.client_id);
    if let Some(secret) = made.secret {
        println!("client_secret  {}", secret.expose_secret());
    }
    ctx.close().await;
    Ok(())
}

async fn rekey() -> Outcome {
    let store = app::open(&configure()?).await?;
    let count = store::keys::rekey(&store).await?;
    store.close().await;
    println!("{count} values were sealed anew. Older keys can leave DATA_KEY now.");
    Ok(())
}

async fn healthcheck() -> Outcome {
    read_dotenv()?;
    let address = environment("LISTEN_ADDR").unwrap_or_else(|| DEFAULT_LISTEN_ADDR.to_owned());
    let mut address: SocketAddr = address.parse().map_err(|_| "LISTEN_ADDR must be an address and port")?;
    if address.ip().is_unspecified() {
        let local: IpAddr = if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
        address.set_ip(local);
    }
    let response = reqwest::Client::builder()
        .timeout(Duration::from_secs(3))
        .no_proxy()
        .build()?
        .get(format!("http://{address}/health/ready"))
        .send()
        .await?;
    if response.status().is_success() { Ok(()) } else { Err("not ready".into()) }
}
