// Never compiled with the engine: see the README.
#include "PosetalkComponent.h"

#include "Animation/MorphTarget.h"
#include "Components/SkeletalMeshComponent.h"
#include "Dom/JsonObject.h"
#include "Engine/SkeletalMesh.h"
#include "GameFramework/Actor.h"
#include "IWebSocket.h"
#include "Serialization/JsonReader.h"
#include "Serialization/JsonSerializer.h"
#include "WebSocketsModule.h"

DEFINE_LOG_CATEGORY_STATIC(LogPosetalk, Log, All);

namespace
{
constexpr double FirstWait = 0.25;
constexpr double LongestWait = 4.0;
constexpr int32 LongestMessage = 1 << 20;
const TCHAR* const Set = TEXT("arkit52");

FString Quoted(const FString& Text)
{
	return TEXT("\"") + Text.Replace(TEXT("\\"), TEXT("\\\\")).Replace(TEXT("\""), TEXT("\\\"")) + TEXT("\"");
}
} // namespace

UPosetalkComponent::UPosetalkComponent()
{
	PrimaryComponentTick.bCanEverTick = true;
	PlayOut.rests = true;
}

void UPosetalkComponent::BeginPlay()
{
	Super::BeginPlay();
	Dial();
}

void UPosetalkComponent::EndPlay(const EEndPlayReason::Type Reason)
{
	bHopeless = true;
	if (Socket.IsValid())
	{
		Socket->OnConnectionError().Clear();
		Socket->OnClosed().Clear();
		Socket->OnMessage().Clear();
		Socket->OnBinaryMessage().Clear();
		Socket->Close();
		Socket.Reset();
	}
	Super::EndPlay(Reason);
}

void UPosetalkComponent::Dial()
{
	RetryAt = FPlatformTime::Seconds() + Wait;
	Wait = FMath::Min(2 * Wait, LongestWait);
	TMap<FString, FString> Headers;
	if (!Token.IsEmpty())
	{
		Headers.Add(TEXT("Authorization"), TEXT("Bearer ") + Token);
	}
	Socket = FModuleManager::LoadModuleChecked<FWebSocketsModule>(TEXT("WebSockets")).CreateWebSocket(Url, TArray<FString>(), Headers);
	Socket->OnConnectionError().AddWeakLambda(this, [this](const FString& Error) {
		if (!bTold)
		{
			OnError.Broadcast(TEXT("connection"), TEXT("no connection to ") + Url + TEXT(": ") + Error);
		}
		bTold = true;
		Lost();
	});
	Socket->OnClosed().AddWeakLambda(this, [this](int32, const FString&, bool) { Lost(); });
	Socket->OnMessage().AddWeakLambda(this, [this](const FString& Text) { ReceiveText(Text); });
	Socket->OnBinaryMessage().AddWeakLambda(this, [this](const void* Data, SIZE_T Size, bool bIsLast) { ReceiveBinary(Data, Size, bIsLast); });
	bDialling = true;
	Socket->Connect();
}

void UPosetalkComponent::Lost()
{
	bGreeted = false;
	bDialling = false;
	Received.Reset();
	Rate = posetalk::SampleRate;
	PlayOut.End(FPlatformTime::Seconds());
}

void UPosetalkComponent::ReceiveText(const FString& Text)
{
	TSharedPtr<FJsonObject> Message;
	if (!FJsonSerializer::Deserialize(TJsonReaderFactory<>::Create(Text), Message) || !Message.IsValid())
	{
		return GiveUp(TEXT("json"), TEXT("the text message is not JSON"));
	}
	double Protocol = posetalk::Protocol;
	Message->TryGetNumberField(TEXT("protocol"), Protocol);
	if (Protocol != posetalk::Protocol)
	{
		return GiveUp(TEXT("version"), FString::Printf(TEXT("the server speaks protocol %g, this client %d: update the older"), Protocol, posetalk::Protocol));
	}
	FString Type;
	Message->TryGetStringField(TEXT("type"), Type);
	if (Type == TEXT("hello"))
	{
		const TSharedPtr<FJsonObject>* Sets = nullptr;
		Channels.Reset();
		if (Message->TryGetObjectField(TEXT("channels"), Sets))
		{
			(*Sets)->TryGetStringArrayField(Set, Channels);
		}
		bGreeted = true;
		bTold = false;
		Wait = FirstWait;
		PlayOut.Clear();
		Map();
		Say(FString::Printf(TEXT("{\"type\":\"subscribe\",\"protocol\":%d,\"set\":\"%s\"}"), posetalk::Protocol, Set));
		if (bOwnSession)
		{
			Say(FString::Printf(TEXT("{\"type\":\"open\",\"protocol\":%d,\"pace\":\"live\",\"style\":%s}"), posetalk::Protocol, *Quoted(OwnStyle)));
		}
	}
	else if (Type == TEXT("opened"))
	{
		PlayOut.Clear();
	}
	else if (Type == TEXT("closed") || Type == TEXT("end"))
	{
		PlayOut.End(FPlatformTime::Seconds());
	}
	else if (Type == TEXT("interrupted"))
	{
		double Sample = 0;
		if (Message->TryGetNumberField(TEXT("sample"), Sample))
		{
			PlayOut.Cut(int64(Sample));
		}
	}
	else if (Type == TEXT("error"))
	{
		FString Code, Sentence;
		Message->TryGetStringField(TEXT("code"), Code);
		Message->TryGetStringField(TEXT("message"), Sentence);
		UE_LOG(LogPosetalk, Warning, TEXT("%s"), *Sentence);
		OnError.Broadcast(Code, Sentence);
	}
}

void UPosetalkComponent::ReceiveBinary(const void* Data, SIZE_T Size, bool bIsLast)
{
	Received.Append(static_cast<const uint8*>(Data), int32(Size));
	if (Received.Num() > LongestMessage)
	{
		return GiveUp(TEXT("length"), TEXT("a message of more than 1 MiB"));
	}
	if (!bIsLast)
	{
		return;
	}
	posetalk::Message Message = posetalk::Decode(Received.GetData(), std::size_t(Received.Num()));
	Received.Reset();
	if (Message.error != nullptr)
	{
		return GiveUp(ANSI_TO_TCHAR(Message.error), TEXT("the server sent what is not the protocol"));
	}
	if (Message.type == posetalk::Arkit52)
	{
		PlayOut.Add(Message.sample, std::move(Message.values), FPlatformTime::Seconds());
	}
}

void UPosetalkComponent::GiveUp(const FString& Code, const FString& Message)
{
	bHopeless = true;
	UE_LOG(LogPosetalk, Error, TEXT("%s"), *Message);
	Socket->Close();
	OnError.Broadcast(Code, Message);
}

void UPosetalkComponent::TickComponent(float Seconds, ELevelTick Type, FActorComponentTickFunction* Function)
{
	Super::TickComponent(Seconds, Type, Function);
	const double Now = FPlatformTime::Seconds();
	if (!bGreeted && !bDialling && !bHopeless && Now >= RetryAt)
	{
		Dial();
	}
	PlayOut.delay = Delay;
	if (PlayOut.Show(Now, Values))
	{
		Show();
	}
}

void UPosetalkComponent::Map()
{
	Targets.Reset();
	TMap<FString, int32> Known;
	for (int32 Channel = 0; Channel < Channels.Num(); ++Channel)
	{
		Known.Add(UTF8_TO_TCHAR(posetalk::PlainName(TCHAR_TO_UTF8(*Channels[Channel])).c_str()), Channel);
	}
	TArray<USkeletalMeshComponent*> Meshes;
	GetOwner()->GetComponents(Meshes);
	for (USkeletalMeshComponent* Mesh : Meshes)
	{
		if (Mesh->GetSkeletalMeshAsset() == nullptr)
		{
			continue;
		}
		for (const UMorphTarget* Morph : Mesh->GetSkeletalMeshAsset()->GetMorphTargets())
		{
			const FString Name = Morph->GetName();
			if (const int32* Channel = Known.Find(UTF8_TO_TCHAR(posetalk::PlainName(TCHAR_TO_UTF8(*Name)).c_str())))
			{
				Targets.Add({Mesh, Morph->GetFName(), *Channel});
			}
		}
	}
}

void UPosetalkComponent::Show()
{
	for (const FTarget& Target : Targets)
	{
		if (Target.Mesh.IsValid() && std::size_t(Target.Channel) < Values.size())
		{
			Target.Mesh->SetMorphTarget(Target.Morph, Values[Target.Channel]);
		}
	}
	const posetalk::Rotation Turn = posetalk::UnrealRotation(
		GetChannel(TEXT("headRotationX")), GetChannel(TEXT("headRotationY")), GetChannel(TEXT("headRotationZ")));
	HeadRotation = FRotator(Turn.pitch, Turn.yaw, Turn.roll);
	OnFrame.Broadcast();
}

float UPosetalkComponent::GetChannel(const FString& Name) const
{
	const int32 Channel = Channels.IndexOfByKey(Name);
	return Channel != INDEX_NONE && std::size_t(Channel) < Values.size() ? Values[Channel] : 0.0f;
}

void UPosetalkComponent::Interrupt()
{
	Say(TEXT("{\"type\":\"interrupt\"}"));
}

void UPosetalkComponent::SetStyle(const FString& Style)
{
	Say(TEXT("{\"type\":\"style\",\"name\":") + Quoted(Style) + TEXT("}"));
}

void UPosetalkComponent::PushSound(const TArray<float>& Samples, int32 SampleRate)
{
	if (!bGreeted || SampleRate <= 0)
	{
		return;
	}
	if (SampleRate != Rate)
	{
		Say(FString::Printf(TEXT("{\"type\":\"audio_format\",\"sample_rate\":%d}"), SampleRate));
		Rate = SampleRate;
	}
	const int32 Step = FMath::Max(1, SampleRate / 2);
	for (int32 Start = 0; Start < Samples.Num(); Start += Step)
	{
		const int32 Count = FMath::Min(Step, Samples.Num() - Start);
		const std::vector<std::uint8_t> Data = posetalk::EncodeSound(Samples.GetData() + Start, std::size_t(Count), Pushed++);
		Socket->Send(Data.data(), Data.size(), true);
	}
}

void UPosetalkComponent::Say(const FString& Json)
{
	if (bGreeted && Socket.IsValid() && Socket->IsConnected())
	{
		Socket->Send(Json);
	}
}
